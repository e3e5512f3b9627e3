//! `aire bench`, with the real binary.

mod stand;
mod support;

use stand::Stand;

#[test]
fn a_number_of_operations_is_counted_and_timed() {
    let stand = Stand::new();
    let more = [
        "-n",
        "40",
        "-c",
        "2",
        "--concurrency",
        "2",
        "--size",
        "100",
        "--warm-up",
        "0s",
    ];
    let told = stand.run("bench", "/echo/say", &more).good();
    for word in [
        "40 completed",
        "40 frames, 4.0 kB",
        "operations/s",
        "99.9%",
        "first frame",
    ] {
        assert!(told.contains(word), "{word} is not in:\n{told}");
    }
    let json = stand
        .run("bench", "/echo/say", &[&more[..], &["--json"]].concat())
        .json();
    assert_eq!(json["completed"], 40);
    assert_eq!(json["failed"], 0);
    assert_eq!(json["bytes_received"], 4000);
    assert_eq!(json["latency"]["count"], 40);
    let percentiles = json["latency"]["percentiles_ms"].as_object();
    let percentiles = percentiles.expect("percentiles");
    let at = |name: &str| percentiles[name].as_f64().expect("a number");
    assert!(at("50") <= at("99.9"));
    assert!(at("50") > 0.0);
}

#[test]
fn failures_are_counted_by_what_they_are() {
    let stand = Stand::new();
    let ran = stand.run("bench", "/fail/x", &["-n", "5", "--warm-up", "0s"]);
    assert_eq!(ran.code(), Some(1));
    let told = ran.stdout();
    assert!(
        told.contains("5 failed") && told.contains("5  APPLICATION"),
        "{told}"
    );
    assert!(
        ran.stderr().contains("5 operations failed"),
        "{}",
        ran.stderr()
    );
}

#[test]
fn time_ends_it_even_when_operations_do_not_end() {
    let stand = Stand::new();
    let more = ["--duration", "200ms", "--warm-up", "50ms", "--json"];
    let json = stand.run("bench", "/wait/x", &more).json();
    assert_eq!(json["completed"], 0);
    assert_eq!(json["failed"], 0);
    assert_eq!(json["errors"], serde_json::json!({}));
}
