//! Damaged model files: an error that names the file, quickly, never a panic.

use std::sync::OnceLock;

use earmark::bundle::{Bundle, onnx};
use proptest::prelude::*;

use crate::support;

fn whole() -> &'static [u8] {
    static WHOLE: OnceLock<Vec<u8>> = OnceLock::new();
    WHOLE.get_or_init(|| support::bundles::small_bundle().bytes().to_vec())
}

/// Where the metadata begins: after the graph, which is most of the file.
fn metadata_start() -> usize {
    let key = b"earmark.format_version";
    let position = whole().windows(key.len()).position(|window| window == key);
    position.expect("a bundle has its version")
}

proptest! {
    #[test]
    fn a_file_cut_anywhere_is_refused(len in 0..whole().len()) {
        let error = Bundle::from_bytes("cut.onnx", &whole()[..len]).unwrap_err();
        prop_assert!(error.to_string().starts_with("cut.onnx: "), "{error}");
    }

    #[test]
    fn changed_metadata_is_an_error_or_another_bundle(
        positions in prop::collection::vec((metadata_start()..whole().len(), any::<u8>()), 1..5),
    ) {
        let mut bytes = whole().to_vec();
        for (position, byte) in positions {
            bytes[position] = byte;
        }
        if let Err(error) = Bundle::from_bytes("odd.onnx", bytes) {
            prop_assert!(error.to_string().starts_with("odd.onnx: "), "{error}");
        }
    }

    #[test]
    fn changed_bytes_anywhere_never_panic(
        positions in prop::collection::vec((0..whole().len(), any::<u8>()), 1..8),
    ) {
        let mut bytes = whole().to_vec();
        for (position, byte) in positions {
            bytes[position] = byte;
        }
        let _ = onnx::decode("odd.onnx", bytes.clone());
        let _ = Bundle::from_bytes("odd.onnx", bytes);
    }

    #[test]
    fn any_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let error = Bundle::from_bytes("noise.onnx", bytes).unwrap_err();
        prop_assert!(error.to_string().starts_with("noise.onnx: "), "{error}");
    }
}
