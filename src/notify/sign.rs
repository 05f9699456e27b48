//! The signature by which a receiver knows that a notification is ours and new. Pure.

use hmac::{Hmac, Mac as _};
use jiff::Timestamp;
use sha2::Sha256;

/// The header that carries it.
pub(super) const HEADER: &str = "sluice-signature";

/// `t=` the second of the delivery, `v1=` HMAC-SHA256 over that second, a dot, and the body byte for byte, in hex.
pub(super) fn signature(key: &[u8], at: Timestamp, body: &[u8]) -> String {
    let second = at.as_second();
    let signed = [second.to_string().as_bytes(), b".", body].concat();
    format!("t={second},v1={}", hex(&hmac_sha256(key, &signed)))
}

fn hmac_sha256(key: &[u8], message: &[u8]) -> Vec<u8> {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        return Vec::new(); // a key of any length is taken
    };
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Test cases 1, 2, 3, 6 and 7 of RFC 4231.
    #[test]
    fn the_vectors_of_rfc_4231() {
        let cases: [(Vec<u8>, Vec<u8>, &str); 5] = [
            (vec![0x0b; 20], b"Hi There".to_vec(), "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
            (
                b"Jefe".to_vec(),
                b"what do ya want for nothing?".to_vec(),
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (vec![0xaa; 20], vec![0xdd; 50], "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
            (
                vec![0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First".to_vec(),
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
            (
                vec![0xaa; 131],
                b"This is a test using a larger than block-size key and a larger than block-size data. The key needs to be hashed before being used by the HMAC algorithm.".to_vec(),
                "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
            ),
        ];
        for (key, message, expected) in cases {
            assert_eq!(hex(&hmac_sha256(&key, &message)), expected);
        }
    }

    /// The same number as `printf '%s' '1700000000.{"a":1}' | openssl dgst -sha256 -hmac topsecret`.
    #[test]
    fn the_second_and_the_body_are_signed() {
        let at = Timestamp::from_second(1_700_000_000).unwrap();
        let of = |body: &[u8]| signature(b"topsecret", at, body);
        assert_eq!(
            of(br#"{"a":1}"#),
            "t=1700000000,v1=6a939b0c71853d606167625a15168ee9188c6a511c773ef4f42d307f3849e50f"
        );
        assert_ne!(of(br#"{"a":1}"#), of(br#"{"a":2}"#));
    }
}
