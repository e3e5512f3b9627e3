//! A comparison is worth something when the contenders do the same: they find the same frames, and
//! write the same bytes.

use aire_bench::control::Sample;
use aire_bench::stream::{Run, SIZES};
use aire_bench::{copying, cursor, ours};

fn runs() -> impl Iterator<Item = Run> {
    SIZES.into_iter().map(Run::uniform).chain([Run::mixed()])
}

#[test]
fn all_decoders_find_the_same_frames() {
    for run in runs() {
        let found = ours::decode(&run.wire);
        assert_eq!(ours::decode_incremental(&run.wire), found);
        assert_eq!(cursor::decode(&run.wire), found);
        let each = run.each();
        assert_eq!(each.len() as u64, run.len());
        assert_eq!(ours::decode_each(&each), found);
        assert_eq!(cursor::decode_each(&each), found);
    }
}

#[test]
fn all_encoders_write_the_same_frames() {
    for run in runs() {
        let mut by_us = vec![0; run.wire.len()];
        let mut by_octets = vec![0; run.wire.len()];
        let ours = ours::encode_copied(&run, &mut by_us);
        assert_eq!(ours, cursor::encode_copied(&run, &mut by_octets));
        assert_eq!(by_us, run.wire);
        assert_eq!(by_octets, run.wire);
        assert_ne!(copying::encode(&run), 0);

        by_us.fill(0);
        by_octets.fill(0);
        let ours = ours::encode_envelopes(&run, &mut by_us);
        assert_eq!(ours, cursor::encode_envelopes(&run, &mut by_octets));
        assert_eq!(by_us, by_octets);
    }
}

#[test]
fn all_read_and_write_every_control_frame() {
    for sample in Sample::all() {
        let wire = sample.wire();
        assert_eq!(ours::decode_control(&wire), 1, "{sample}");
        assert_eq!(cursor::decode_control(&wire), 1, "{sample}");
        assert_eq!(copying::decode_control(&wire), 1, "{sample}");

        let mut out = vec![0; 512];
        let len = cursor::encode_control(&sample, &mut out);
        assert_eq!(out[..len], wire, "{sample}");
        assert_eq!(copying::encode_control(&sample), wire.len(), "{sample}");
    }
}
