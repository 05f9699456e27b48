//! The cache folder: keys, locks and complete-or-absent folders. It must not know what is in them.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

/// The cache folder of this user.
///
/// # Errors
/// When neither `XDG_CACHE_HOME` nor `HOME` is set.
pub fn root() -> Result<PathBuf> {
    let base = std::env::var_os("XDG_CACHE_HOME")
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")))
        .context("neither XDG_CACHE_HOME nor HOME is set: set one, so that the cache has a place")?;
    Ok(base.join("sluice-testbed"))
}

/// A short name for a set of inputs; different inputs, or the same in another order, give another name.
pub(super) fn key(inputs: &[&str]) -> String {
    let mut hash = Sha256::new();
    for input in inputs {
        // The length keeps ("ab", "c") and ("a", "bc") apart.
        hash.update(input.len().to_le_bytes());
        hash.update(input.as_bytes());
    }
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the folder `<part>-<key>`, made by `make` unless it is there already.
///
/// `make` fills an empty folder, which gets its final name only when `make` succeeds. Two callers at once
/// make it once: the second waits for the first.
pub(super) fn obtain(root: &Path, part: &str, key: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let name = format!("{part}-{key}");
    let complete = root.join(&name);
    if complete.is_dir() {
        return Ok(complete);
    }
    let _lock = lock(root, &name)?;
    if complete.is_dir() {
        return Ok(complete);
    }
    let partial = root.join("partial").join(&name);
    if partial.exists() {
        fs::remove_dir_all(&partial)?;
    }
    fs::create_dir_all(&partial)?;
    make(&partial)?;
    fs::rename(&partial, &complete).with_context(|| format!("cannot move {} into place", complete.display()))?;
    Ok(complete)
}

/// Waits for, then holds, the lock of this name until the returned file is dropped.
pub(crate) fn lock(root: &Path, name: &str) -> Result<File> {
    let folder = root.join("locks");
    fs::create_dir_all(&folder)?;
    let path = folder.join(name);
    let file = File::create(&path).with_context(|| format!("cannot create the lock {}", path.display()))?;
    file.lock().with_context(|| format!("cannot take the lock {}", path.display()))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("testbed-cache-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        path
    }

    #[test]
    fn key_depends_on_every_input_and_on_their_borders() {
        let base = key(&["go.mod", "go.sum"]);
        assert_eq!(base, key(&["go.mod", "go.sum"]));
        assert_ne!(base, key(&["go.modg", "o.sum"]));
        assert_ne!(base, key(&["go.sum", "go.mod"]));
        assert_ne!(base, key(&["go.mod", "go.sum", ""]));
        assert_eq!(base.len(), 16);
    }

    #[test]
    fn a_failed_make_leaves_nothing_that_looks_complete() {
        let root = scratch("failed");
        let result = obtain(&root, "part", "1", |folder| {
            fs::write(folder.join("half"), "x")?;
            anyhow::bail!("no network")
        });
        assert!(result.is_err());
        assert!(!root.join("part-1").exists());

        let path = obtain(&root, "part", "1", |folder| {
            assert!(!folder.join("half").exists(), "the leftover of the failed attempt is still there");
            Ok(fs::write(folder.join("whole"), "x")?)
        })
        .unwrap();
        assert!(path.join("whole").exists());
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn two_callers_at_once_make_it_once() {
        let root = scratch("twice");
        let made = std::sync::atomic::AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    obtain(&root, "part", "1", |_| {
                        std::thread::sleep(std::time::Duration::from_millis(50));
                        made.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                        Ok(())
                    })
                    .unwrap()
                });
            }
        });
        assert_eq!(made.load(std::sync::atomic::Ordering::SeqCst), 1);
        fs::remove_dir_all(root).unwrap();
    }
}
