//! Writes the vectors of the protocol into `spec/vectors/protocol/`, and their table of rules into `spec/vectors/README.md`.

#[path = "../tests/protocol_vectors/generate.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod generate;

fn main() -> std::io::Result<()> {
    let folder = generate::folder().join("protocol");
    std::fs::create_dir_all(&folder)?;
    for (name, content) in generate::files() {
        std::fs::write(folder.join(&name), &content)?;
        println!("{name}: {} bytes", content.len());
    }
    std::fs::write(generate::folder().join("protocol.sha256"), generate::sums())?;
    let page = generate::folder().join("README.md");
    let text = std::fs::read_to_string(&page)?;
    std::fs::write(page, generate::table::with_table(&text))
}
