//! The bytes of a docker-archive: one layer, one configuration, one manifest. It reads no file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Result;
use serde_json::json;
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

use super::Image;

/// Path in the image, mode and content.
pub(super) type Files = BTreeMap<String, (u32, Vec<u8>)>;

/// The archive and the digest of its configuration.
pub(super) fn pack(image: &Image, files: &Files) -> Result<(Vec<u8>, String)> {
    let layer = layer(files)?;
    let layer_digest = digest(&layer);
    // Keys in alphabetical order: whether serde_json keeps or sorts them depends on who else is built.
    let configuration = serde_json::to_vec(&json!({
        "architecture": "amd64",
        "config": {
            "Entrypoint": [image.entrypoint],
            "Labels": image.labels,
            "User": "65532:65532",
            "WorkingDir": "/",
        },
        "created": "1970-01-01T00:00:00Z",
        "os": "linux",
        "rootfs": {"diff_ids": [format!("sha256:{layer_digest}")], "type": "layers"},
    }))?;
    let configuration_digest = digest(&configuration);
    let configuration_name = format!("{configuration_digest}.json");
    let layer_name = format!("{layer_digest}/layer.tar");
    let manifest = serde_json::to_vec(&json!([{
        "Config": configuration_name,
        "Layers": [layer_name],
        "RepoTags": [image.tag],
    }]))?;
    let mut archive = Builder::new(Vec::new());
    for (name, content) in
        [(configuration_name, &configuration), (layer_name, &layer), ("manifest.json".to_owned(), &manifest)]
    {
        append(&mut archive, Path::new(&name), EntryType::Regular, 0o644, content)?;
    }
    Ok((archive.into_inner()?, format!("sha256:{configuration_digest}")))
}

fn layer(files: &Files) -> Result<Vec<u8>> {
    let mut layer = Builder::new(Vec::new());
    let folders: BTreeSet<&Path> = files
        .keys()
        .flat_map(|path| Path::new(path).ancestors().skip(1))
        .filter(|folder| *folder != Path::new("/"))
        .collect();
    // The order of the set puts each folder before what is in it.
    for folder in folders {
        append(&mut layer, folder.strip_prefix("/")?, EntryType::Directory, 0o755, &[])?;
    }
    for (path, (mode, content)) in files {
        append(&mut layer, Path::new(path).strip_prefix("/")?, EntryType::Regular, *mode, content)?;
    }
    Ok(layer.into_inner()?)
}

/// Appends an entry that depends on nothing but its arguments: no time, no user of this machine.
fn append(archive: &mut Builder<Vec<u8>>, path: &Path, kind: EntryType, mode: u32, content: &[u8]) -> Result<()> {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(u64::try_from(content.len())?);
    archive.append_data(&mut header, path, content)?;
    Ok(())
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn image() -> Image {
        Image { tag: "sluice.test/x:1".into(), entrypoint: "/bin/x".into(), ..Image::default() }
    }

    fn files(content: &str) -> Files {
        BTreeMap::from([
            ("/bin/x".to_owned(), (0o755, content.as_bytes().to_vec())),
            ("/etc/passwd".to_owned(), (0o644, b"u".to_vec())),
        ])
    }

    #[test]
    fn the_same_content_gives_the_same_bytes_and_other_content_another_digest() {
        let first = pack(&image(), &files("a")).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(1100));
        assert_eq!(first, pack(&image(), &files("a")).unwrap());
        assert_ne!(first.1, pack(&image(), &files("b")).unwrap().1);
        // Pinned, so that a change of the format is a decision.
        assert_eq!(first.1, "sha256:6201c2b19226cae838bbf902b9f1aec76d37efa9276ddd3cef4661cb2b209186");
    }

    #[test]
    fn the_manifest_names_what_is_in_the_archive() {
        let (bytes, _) = pack(&image(), &files("a")).unwrap();
        let mut contents = BTreeMap::new();
        for entry in tar::Archive::new(bytes.as_slice()).entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            contents.insert(entry.path().unwrap().to_string_lossy().into_owned(), content);
        }
        let manifest: serde_json::Value = serde_json::from_slice(&contents["manifest.json"]).unwrap();
        assert_eq!(manifest[0]["RepoTags"][0], "sluice.test/x:1");
        let layer = &contents[manifest[0]["Layers"][0].as_str().unwrap()];
        let configuration = &contents[manifest[0]["Config"].as_str().unwrap()];
        let configuration: serde_json::Value = serde_json::from_slice(configuration).unwrap();
        assert_eq!(configuration["rootfs"]["diff_ids"][0], format!("sha256:{}", digest(layer)));
        assert_eq!(configuration["config"]["Entrypoint"][0], "/bin/x");
        let mut layer = tar::Archive::new(layer.as_slice());
        let names: Vec<_> = layer.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().into_owned()).collect();
        assert_eq!(names, ["bin", "etc", "bin/x", "etc/passwd"].map(Path::new));
    }
}
