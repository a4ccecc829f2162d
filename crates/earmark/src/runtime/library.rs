//! Finds and loads ONNX Runtime's shared library, once for the process.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use ort::environment::Environment;

use crate::{Error, Result};

/// The loaded library.
pub(super) struct Library {
    /// Name and version, as outputs report them.
    pub(super) name: String,
    pub(super) environment: Environment,
}

/// Loads the library at `path`, or the first one found; see [`super::RuntimeOptions::library`]. Later
/// calls give the library of the first that succeeded.
pub(super) fn load(path: Option<&Path>) -> Result<&'static Library> {
    static LOADED: OnceLock<Result<Library, String>> = OnceLock::new();
    let loaded = match path {
        // A wrong path must not keep a later right one from being tried.
        Some(path) if !path.is_file() => {
            return Err(Error::Missing {
                path: path.to_owned(),
                reason: "no such file, expected ONNX Runtime's shared library".to_owned(),
            });
        }
        Some(path) => LOADED.get_or_init(|| open(path)),
        None => {
            if let Some(loaded) = LOADED.get() {
                loaded
            } else {
                let path = find().ok_or_else(|| failed(NOT_FOUND))?;
                LOADED.get_or_init(|| open(&path))
            }
        }
    };
    loaded.as_ref().map_err(|reason| failed(reason))
}

const NOT_FOUND: &str = "its shared library is nowhere to be found; install it (for example with \
                         `pip install onnxruntime`) or name it in ORT_DYLIB_PATH";

fn failed(reason: &str) -> Error {
    Error::Runtime {
        runtime: "onnxruntime",
        reason: reason.to_owned(),
    }
}

fn open(path: &Path) -> Result<Library, String> {
    // Relative paths would be looked for beside the program.
    let path = fs_err::canonicalize(path).map_err(|error| error.to_string())?;
    let builder = ort::init_from(&path).map_err(|error| error.to_string())?;
    let environment = builder
        .with_name("earmark")
        .with_telemetry(false)
        .build()
        .map_err(|error| format!("{}: {error}", path.display()))?;
    let version = version(&path, ort::info());
    let name = version.map_or("onnxruntime".to_owned(), |v| format!("onnxruntime {v}"));
    Ok(Library { name, environment })
}

/// The version, from the end of the file's name or what the library says of its build.
fn version(path: &Path, build: &str) -> Option<String> {
    let file = path.file_name()?.to_str()?;
    let is_version =
        |text: &str| text.contains('.') && text.split('.').all(|part| part.parse::<u32>().is_ok());
    let of_file = file.split_once(".so.").map(|(_, version)| version);
    let of_mac = file
        .strip_suffix(".dylib")
        .and_then(|name| name.strip_prefix("libonnxruntime."));
    let of_build = build.split_once("git-branch=rel-").map(|(_, rest)| {
        rest.split(|c: char| !c.is_ascii_digit() && c != '.')
            .next()
            .unwrap_or_default()
    });
    let candidates = [of_file, of_mac, of_build].into_iter().flatten();
    candidates
        .filter(|text| is_version(text))
        .map(str::to_owned)
        .next()
}

fn find() -> Option<PathBuf> {
    let named = env::var_os("ORT_DYLIB_PATH").filter(|path| !path.is_empty());
    if let Some(path) = named {
        // A wrong setting is reported when the file is opened, not passed over.
        return Some(path.into());
    }
    folders().iter().find_map(|folder| in_folder(folder))
}

/// All folders to look in, in order.
fn folders() -> Vec<PathBuf> {
    let mut folders = Vec::new();
    if let Some(program) = env::current_exe().ok().as_deref().and_then(Path::parent) {
        folders.extend([program.to_owned(), program.join("lib")]);
    }
    for variable in ["LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"] {
        folders.extend(env::var_os(variable).iter().flat_map(env::split_paths));
    }
    let triple = format!("/usr/lib/{}-linux-gnu", env::consts::ARCH);
    let system = [
        "/usr/local/lib",
        "/usr/lib",
        "/usr/lib64",
        &triple,
        "/opt/homebrew/lib",
    ];
    folders.extend(system.iter().map(PathBuf::from));
    for root in python_roots() {
        folders.extend(package_folders(&root));
    }
    folders
}

/// Where Python installations are: the active environment, then the `python3` on `PATH`.
fn python_roots() -> Vec<PathBuf> {
    let active = ["VIRTUAL_ENV", "CONDA_PREFIX"]
        .into_iter()
        .filter_map(env::var_os);
    let mut roots: Vec<PathBuf> = active.map(PathBuf::from).collect();
    let path = env::var_os("PATH").unwrap_or_default();
    let programs = ["python3", "python", "python.exe"];
    let first = env::split_paths(&path).find(|folder| {
        programs
            .iter()
            .any(|program| folder.join(program).is_file())
    });
    if let Some(root) = first.as_deref().and_then(Path::parent) {
        roots.push(root.to_owned());
        // pyenv puts scripts on the path that start one of several versions.
        roots.extend(entries(&root.join("versions")));
    }
    roots
}

/// The folders of the package `onnxruntime` that an installation may have.
fn package_folders(root: &Path) -> Vec<PathBuf> {
    let libraries = [root.join("lib"), root.join("local/lib"), root.join("Lib")];
    let versions = libraries.iter().flat_map(|folder| {
        let inside = entries(folder).into_iter();
        inside.chain([folder.clone()])
    });
    let packages = versions.flat_map(|folder| {
        ["site-packages", "dist-packages"].map(|name| folder.join(name).join("onnxruntime/capi"))
    });
    packages.filter(|folder| folder.is_dir()).collect()
}

/// What lies in a folder, the last name first (so that a newer version comes before an older one);
/// nothing if it is no folder.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(read) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut found: Vec<PathBuf> = read.flatten().map(|entry| entry.path()).collect();
    found.sort();
    found.reverse();
    found
}

fn in_folder(folder: &Path) -> Option<PathBuf> {
    let is_library = |path: &PathBuf| {
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        let found = name == "onnxruntime.dll"
            || name.starts_with("libonnxruntime.so")
            || (name.starts_with("libonnxruntime.") && name.ends_with(".dylib"));
        found && path.is_file()
    };
    entries(folder).into_iter().find(is_library)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_names_and_build_texts() {
        let of = |file: &str, build: &str| version(Path::new(file), build);
        assert_eq!(
            of("/a/libonnxruntime.so.1.31.1", ""),
            Some("1.31.1".to_owned())
        );
        assert_eq!(
            of("/a/libonnxruntime.1.20.0.dylib", ""),
            Some("1.20.0".to_owned())
        );
        let build = "ORT Build Info: git-branch=rel-1.19.0, git-commit-id=26250ae";
        assert_eq!(of("/a/onnxruntime.dll", build), Some("1.19.0".to_owned()));
        assert_eq!(of("/a/libonnxruntime.so", "nothing"), None);
    }

    #[test]
    fn a_python_package_is_found() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let folder = root
            .path()
            .join("lib/python3.11/site-packages/onnxruntime/capi");
        std::fs::create_dir_all(&folder).expect("a folder");
        let library = folder.join("libonnxruntime.so.1.31.1");
        std::fs::write(&library, b"").expect("a file");
        std::fs::write(folder.join("libonnxruntime_providers_shared.so"), b"").expect("a file");
        let found: Vec<PathBuf> = package_folders(root.path());
        assert_eq!(found, std::slice::from_ref(&folder));
        assert_eq!(in_folder(&folder), Some(library));
    }
}
