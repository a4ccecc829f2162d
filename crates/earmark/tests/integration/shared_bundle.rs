//! The public mn04 weights become a bundle: the same one from both file formats, and from a web server
//! by name.

use crate::support::http;
use crate::support::shared;
use earmark::bundle::{
    Bundle, Cache, DownloadOptions, ImportOptions, Registry, find_model, import_weights,
};

#[test]
fn known_weights_bring_their_name_terms_and_figures() {
    let Some(folder) = shared() else { return };
    let path = folder.join("weights/mn04/mn04_as_mAP_432.pt");
    let bundle = import_weights(&path, &ImportOptions::default()).unwrap();
    let metadata = bundle.metadata();
    assert_eq!(
        (metadata.name.as_str(), metadata.vocabulary.len()),
        ("mn04", 527)
    );
    assert_eq!(metadata.licence.as_ref().unwrap().spdx, "MIT");
    assert_eq!(metadata.provenance.metrics["mAP"], 0.432);
    let url = metadata.provenance.source.as_ref().unwrap().url.as_deref();
    assert!(url.unwrap().ends_with("/v0.0.1/mn04_as_mAP_432.pt"));
    // The same import gives the same bytes: nothing in it depends on time or place.
    let again = import_weights(&path, &ImportOptions::default()).unwrap();
    assert_eq!(bundle.bytes(), again.bytes());
}

#[test]
fn both_formats_give_the_same_graph() {
    let Some(folder) = shared() else { return };
    let import = |file: &str| {
        let path = folder.join("weights/mn04").join(file);
        let options = ImportOptions {
            name: Some("mn04".to_owned()),
            ..ImportOptions::default()
        };
        import_weights(&path, &options).unwrap()
    };
    let (pickled, plain) = (import("mn04_as_mAP_432.pt"), import("mn04_as.safetensors"));
    let same = pickled.with_metadata(plain.metadata().clone()).unwrap();
    assert_eq!(same.bytes(), plain.bytes());
}

#[test]
fn the_built_in_vocabulary_is_the_published_table() {
    let Some(folder) = shared() else { return };
    let path = folder.join("weights/mn04/class_labels_indices.csv");
    let published = earmark::dataset::Vocabulary::from_csv(&path).unwrap();
    assert_eq!(earmark::dataset::Vocabulary::audio_set(), &published);
}

#[test]
fn pulled_weights_are_imported_and_found_by_name() {
    let Some(folder) = shared() else { return };
    let body = std::fs::read(folder.join("weights/mn04/mn04_as_mAP_432.pt")).unwrap();
    let server = http::Server::start(move |number, request, stream| {
        let end = if number == 0 {
            body.len() / 2
        } else {
            body.len()
        };
        http::serve_until(request, stream, &body, "\"mn04\"", end);
    });
    let registry = Registry::built_in();
    let mut entry = registry.get("mn04").unwrap().clone();
    entry.url = server.url("/mn04_as_mAP_432.pt");
    let cache_folder = tempfile::tempdir().unwrap();
    let cache = Cache::at(cache_folder.path());
    cache
        .pull(&entry, &DownloadOptions::default(), &mut |_| {})
        .unwrap();
    let bundle = Bundle::open(&find_model("mn04", &registry, &cache).unwrap()).unwrap();
    assert_eq!(bundle.metadata().name, "mn04");
    assert_eq!(bundle.metadata().vocabulary.name(74), "Dog");
}
