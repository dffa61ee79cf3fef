//! Command line.
use bailee_model::explorer::{Options, explore};
use bailee_model::protocol::{Protocol, scopes};

fn main() {
    for scope in scopes::committed() {
        let model = Protocol::new(&scope, None).unwrap();
        let out = explore(&model, Options { limit: Some(20_000_000), ..Options::default() }, &[], &[]).unwrap();
        println!("{} bits {} states {} transitions {} depth {} dead {} complete {} {:?} {:.1} B", scope.name, model.bits(), out.states(), out.transitions, out.depth(), out.deadlocks.len(), out.complete, out.elapsed, out.bytes_per_state());
    }
}
