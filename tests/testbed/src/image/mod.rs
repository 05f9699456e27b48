//! Packs one program with the shared libraries it needs into an image archive that containerd takes.
//!
//! The same inputs give the same bytes on every run, so that an image's digest says what is in it.

mod archive;
mod libraries;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// What an image is called and how its program runs.
#[derive(Debug, Clone, Default)]
pub struct Image {
    /// Its name, for example `sluice.test/shop:dev`.
    pub tag: String,
    /// Where the program is in the image; it takes the Pod's `args`.
    pub entrypoint: String,
    /// Labels of the image.
    pub labels: BTreeMap<String, String>,
    /// Further files: where in the image, and which file of this machine.
    pub files: BTreeMap<String, PathBuf>,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Size of the archive.
    pub bytes: u64,
    /// Digest of the image's configuration, which covers its content.
    pub digest: String,
    /// The files in it.
    pub files: Vec<String>,
}

/// Writes the image of `program` to `archive`.
///
/// # Errors
/// When the program or one of its libraries cannot be read.
pub fn write(image: &Image, program: &Path, archive: &Path) -> Result<Written> {
    ensure!(
        image.entrypoint.starts_with('/') && !image.entrypoint.ends_with('/'),
        "the entry point {:?} is not an absolute path: give one such as /app",
        image.entrypoint
    );
    let read = |path: &Path| fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    let mut files = BTreeMap::new();
    files.insert(image.entrypoint.clone(), (0o755, read(program)?));
    for library in libraries::of(program)? {
        let place = library.to_string_lossy().into_owned();
        files.insert(place, (0o755, read(&library)?));
    }
    for (place, path) in &image.files {
        ensure!(place.starts_with('/'), "the place {place:?} in the image is not an absolute path");
        files.insert(place.clone(), (0o644, read(path)?));
    }
    let users = "root:x:0:0:root:/:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/:/sbin/nologin\n";
    files.insert("/etc/passwd".to_owned(), (0o644, users.into()));
    files.insert("/etc/group".to_owned(), (0o644, b"root:x:0:\nnonroot:x:65532:\n".to_vec()));

    let (bytes, digest) = archive::pack(image, &files)?;
    fs::write(archive, &bytes).with_context(|| format!("cannot write {}", archive.display()))?;
    Ok(Written { bytes: u64::try_from(bytes.len())?, digest, files: files.into_keys().collect() })
}
