//! What a version is called outside the cluster: package URLs of its images. Pure.

/// The longest part, in bytes; names in the cluster have at most 253.
const LONGEST: usize = 255;

/// The package URL of the first image whose digest is known, else of the first image, else of the template.
///
/// `images` are `name=image`, `digests` are `name=digest` of the same containers.
pub(super) fn purl(images: &[String], digests: &[String], workload: &str, revision: &str) -> String {
    let pairs = images.iter().filter_map(|image| image.split_once('='));
    let known = |container: &str| {
        let mut digests = digests.iter().filter_map(|digest| digest.split_once('='));
        digests.find(|(name, _)| *name == container).and_then(|(_, digest)| sha256(digest))
    };
    let all: Vec<(&str, Option<&str>)> =
        pairs.map(|(name, image)| (image, known(name).or_else(|| sha256(image)))).collect();
    match all.iter().find(|(_, digest)| digest.is_some()).or_else(|| all.first()) {
        Some((image, digest)) => oci(image, *digest),
        None => template(workload, revision),
    }
}

/// The package URL of a pod template of which nothing but its digest is known.
pub(super) fn template(workload: &str, revision: &str) -> String {
    format!("pkg:generic/{}@{}", path(workload), encoded(revision))
}

/// `pkg:oci/…`, as the purl specification has it: the name is the last part of the repository, the version the digest.
fn oci(image: &str, digest: Option<&str>) -> String {
    let (rest, _) = image.split_once('@').unwrap_or((image, ""));
    // A colon before the last slash belongs to the port of the registry.
    let (repository, tag) = match rest.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag)),
        _ => (rest, None),
    };
    let repository = repository.to_ascii_lowercase();
    let name = repository.rsplit('/').next().unwrap_or(&repository);
    let mut purl = format!("pkg:oci/{}", encoded(name));
    if let Some(digest) = digest {
        purl.push_str(&format!("@{}", encoded(digest)));
    }
    let mut joint = '?';
    if repository.contains('/') {
        purl.push_str(&format!("{joint}repository_url={}", path(&repository)));
        joint = '&';
    }
    if let Some(tag) = tag {
        purl.push_str(&format!("{joint}tag={}", encoded(tag)));
    }
    purl
}

/// The digest in `sha256:…` or in `repository@sha256:…`.
fn sha256(text: &str) -> Option<&str> {
    let digest = text.rsplit('@').next()?;
    let hex = digest.strip_prefix("sha256:")?;
    (hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(digest)
}

/// Percent-encoded, with slashes kept; no more than eight parts.
pub(super) fn path(text: &str) -> String {
    text.split('/').take(8).map(encoded).collect::<Vec<_>>().join("/")
}

/// Percent-encoded, but for the unreserved characters of RFC 3986; cut after [`LONGEST`] bytes.
pub(super) fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes().take(LONGEST) {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:0b31b1c02ff458ad9b7b81cbdf8f028bd54699fa151f221d1e8de6817db93427";

    #[test]
    fn an_image_is_named_by_its_digest_where_it_is_known() {
        let of = |image: &str, digests: &[&str]| {
            let digests: Vec<String> = digests.iter().map(|one| (*one).to_owned()).collect();
            purl(&[format!("shop={image}")], &digests, "demo/Deployment/shop", "abc")
        };
        let version = DIGEST.replace(':', "%3A");
        let full = format!("pkg:oci/shop@{version}?repository_url=ghcr.io/acme/shop&tag=v2");
        assert_eq!(of("ghcr.io/acme/shop:v2", &[&format!("shop={DIGEST}")]), full);
        assert_eq!(of("ghcr.io/acme/shop:v2", &[&format!("shop=ghcr.io/acme/shop@{DIGEST}")]), full);
        assert_eq!(of(&format!("ghcr.io/acme/shop:v2@{DIGEST}"), &[]), full);
        assert_eq!(of("shop", &[&format!("other={DIGEST}")]), "pkg:oci/shop");
        assert_eq!(of("localhost:5000/Shop:v2", &[]), "pkg:oci/shop?repository_url=localhost%3A5000/shop&tag=v2");
        assert_eq!(of("a b\"?&\n", &[]), "pkg:oci/a%20b%22%3F%26%0A");
        assert_eq!(of("shop", &["shop=sha256:zz", "shop=sha512:00"]), "pkg:oci/shop");
    }

    #[test]
    fn of_several_images_the_first_with_a_digest_stands_for_all() {
        let images = ["proxy=envoy:1".to_owned(), "shop=shop:v2".to_owned()];
        let purl = purl(&images, &[format!("shop={DIGEST}")], "w", "r");
        assert_eq!(purl, format!("pkg:oci/shop@{}?tag=v2", DIGEST.replace(':', "%3A")));
    }

    #[test]
    fn without_an_image_the_template_is_named() {
        assert_eq!(purl(&[], &[], "demo/Deployment/shop", "0ab4"), "pkg:generic/demo/Deployment/shop@0ab4");
        assert_eq!(purl(&["no pair".to_owned()], &[], "w", "r"), "pkg:generic/w@r");
    }
}
