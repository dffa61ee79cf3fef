//! Writes the seeds into `fuzz/corpus/`. Files that are there already and are no seeds, such as what a run found, stay.

use std::path::Path;

fn main() -> std::io::Result<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let seeds = bailee_fuzz::seeds::all();
    for seed in &seeds {
        let folder = corpus.join(seed.target);
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join(&seed.name), &seed.bytes)?;
    }
    println!("{} seeds for {} targets", seeds.len(), bailee_fuzz::TARGETS.len());
    Ok(())
}
