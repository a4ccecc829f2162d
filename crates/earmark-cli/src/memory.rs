//! Memory that stays with the program while it trains.
//!
//! A training step allocates and frees the same gigabyte as the step before. glibc gives large blocks back to the
//! system at once and gets them again as pages to be zeroed, which took more than a quarter of a step for a ResNet-18 on
//! two cores. It reads its settings before `main`, so the program starts itself again with them. Whoever has set
//! `GLIBC_TUNABLES` keeps what is set there.

/// Where glibc reads its settings.
#[cfg(all(target_os = "linux", target_env = "gnu", feature = "train"))]
const VARIABLE: &str = "GLIBC_TUNABLES";

/// Blocks up to 16 GiB come from the heap, which never shrinks and grows by 256 MiB, in huge pages where the system
/// allows them.
#[cfg(all(target_os = "linux", target_env = "gnu", feature = "train"))]
const SETTINGS: &str = "glibc.malloc.mmap_threshold=17179869184:\
                        glibc.malloc.trim_threshold=17179869184:\
                        glibc.malloc.top_pad=268435456:\
                        glibc.malloc.hugetlb=1";

/// Starts the program again so that freed memory is kept. Returns where that is done already, or cannot be done,
/// which costs time only.
#[cfg(all(target_os = "linux", target_env = "gnu", feature = "train"))]
pub(crate) fn keep() {
    use std::os::unix::process::CommandExt as _;

    if std::env::var_os(VARIABLE).is_some() {
        return;
    }
    let Ok(program) = std::env::current_exe() else {
        return;
    };
    let mut arguments = std::env::args_os();
    let mut again = std::process::Command::new(program);
    if let Some(name) = arguments.next() {
        again.arg0(name);
    }
    // Only comes back if the program could not be started.
    let _ = again.args(arguments).env(VARIABLE, SETTINGS).exec();
}

/// Other systems' allocators are left as they are.
#[cfg(not(all(target_os = "linux", target_env = "gnu", feature = "train")))]
pub(crate) fn keep() {}
