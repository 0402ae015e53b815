//! The description of the protocol: what it says is there, and what is there it says.

use std::collections::BTreeSet;
use std::path::Path;

use wgnet_api::openapi::document;

const WRITE: &str = "WGNET_WRITE_OPENAPI=1 cargo test -p wgnet --lib openapi";

#[test]
fn openapi_is_what_the_types_say() {
    let text = document().to_pretty_json().expect("JSON") + "\n";
    if std::env::var_os("WGNET_WRITE_OPENAPI").is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("api/openapi.json");
        std::fs::write(path, &text).expect("written");
        return;
    }
    assert!(wgnet_api::OPENAPI == text, "api/openapi.json is not what the types say: {WRITE}");
    let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(json["info"]["version"], wgnet_api::PROTOCOL_VERSION);
    let schemas = json["components"]["schemas"].as_object().expect("schemas");
    for name in text.split("#/components/schemas/").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(schemas.contains_key(name), "{name} is spoken of and not described");
    }
}

#[test]
fn openapi_has_every_route_and_no_other() {
    let source = include_str!("../routes.rs");
    let routes: BTreeSet<(String, String)> = source
        .split(".route(\"")
        .skip(1)
        .filter_map(|rest| {
            let (path, rest) = rest.split_once("\", ")?;
            Some((path.to_owned(), rest.split_once('(')?.0.to_owned()))
        })
        .collect();
    let json: serde_json::Value = serde_json::from_str(wgnet_api::OPENAPI).expect("JSON");
    let paths = json["paths"].as_object().expect("paths").iter();
    let described: BTreeSet<(String, String)> = paths
        .flat_map(|(path, item)| {
            item.as_object().expect("methods").keys().map(|method| (path.clone(), method.clone())).collect::<Vec<_>>()
        })
        .collect();
    assert!(routes.len() > 15, "{routes:?}");
    assert_eq!(routes, described);
    let documentation = include_str!("../../../api/src/lib.rs");
    for (path, method) in &routes {
        let line = format!("| `{} {path}", method.to_uppercase());
        assert!(documentation.contains(&line), "{line} is not in the documentation of wgnet-api");
    }
}
