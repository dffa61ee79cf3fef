//! Writes the vectors of the archive format into `spec/vectors/archive/`.

#[path = "../tests/vectors/generate.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod generate;

fn main() -> std::io::Result<()> {
    let folder = generate::folder();
    std::fs::create_dir_all(&folder)?;
    for (name, content) in generate::files() {
        std::fs::write(folder.join(name), &content)?;
        println!("{name}: {} bytes", content.len());
    }
    Ok(())
}
