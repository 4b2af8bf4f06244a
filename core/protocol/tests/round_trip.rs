//! Every schema in every version: what is encoded decodes to what encodes to the same bytes.
//!
//! Random messages, walked without knowing their types. The seed is fixed, so a failure repeats.

use dohle_base::Rng;
use dohle_protocol::random::codecs;

const MESSAGES_PER_VERSION: usize = 200;

#[test]
fn every_message_of_every_version_survives_a_round_trip() {
    let mut rng = Rng::from_seed(1);
    for codec in codecs() {
        for version in codec.schema.versions.first..=codec.schema.versions.last {
            for _ in 0..MESSAGES_PER_VERSION {
                let name = codec.schema.name;
                let bytes = codec.encode_random(&mut rng, version);
                let bytes = bytes.unwrap_or_else(|error| panic!("{name} {version}: {error}"));
                let again = codec.reencode(bytes.clone(), version);
                assert_eq!(again, Ok(Ok(bytes)), "{name} {version}");
            }
        }
    }
}
