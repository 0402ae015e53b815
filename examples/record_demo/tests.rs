//! The recording in examples/ is the one that this program makes.

#[test]
#[ignore = "half a minute of computing in the sim profile: cargo test --profile sim --example record_demo -- --ignored"]
fn the_recording_in_examples_is_made_by_this_program() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/demo.jsonl");
    let kept = std::fs::read(path).expect("it is in the tree");
    let made = super::camera::record().expect("the mesh lives");
    let first = kept.split(|byte| *byte == b'\n').zip(made.split(|byte| *byte == b'\n')).position(|(a, b)| a != b);
    assert!(
        kept == made,
        "line {:?} differs; make it anew with `cargo run --profile sim --example record_demo -- examples/demo.jsonl`",
        first.map(|index| index + 1)
    );
}

#[test]
fn the_scene_has_sixty_honest_nodes() {
    let scene = crate::cast::scene().expect("a proper scenario");
    assert_eq!(scene.nodes.values().filter(|node| node.claims.is_none()).count(), 60);
    for (from, to, ..) in crate::plot::TALKS {
        assert!(scene.nodes.contains_key(from) && scene.nodes.contains_key(to), "{from} and {to}");
    }
    assert!(scene.nodes.contains_key(crate::cast::SEEN_BY));
}
