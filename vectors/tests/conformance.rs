//! The conformance table is complete, in order, and names only tests that exist.

use std::collections::BTreeSet;
use std::path::Path;

use aire_vectors::conformance::{find_test, table};

/// Every series of the ledger, with its last number.
const LEDGER: [(&str, u32); 16] = [
    ("WIRE", 16),
    ("TYPE", 2),
    ("HS", 9),
    ("CAP", 9),
    ("ID", 4),
    ("SIG", 14),
    ("URI", 5),
    ("DISC", 8),
    ("CAN", 8),
    ("BUD", 11),
    ("RES", 11),
    ("TR", 5),
    ("GAP", 21),
    ("AIRC", 57),
    ("ACHK", 10),
    ("AGAP", 14),
];

fn ledger() -> Vec<String> {
    LEDGER
        .iter()
        .flat_map(|(series, last)| (1..=*last).map(move |number| format!("{series}-{number}")))
        .collect()
}

#[test]
fn every_id_of_the_ledger_stands_once_and_in_order() {
    let ids: Vec<String> = table().into_iter().map(|row| row.id).collect();
    assert_eq!(ids, ledger());
}

#[test]
fn every_named_test_exists() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut wrong = Vec::new();
    for row in table() {
        for test in &row.tests {
            let found = std::fs::read_to_string(workspace.join(&test.path))
                .map_err(|error| format!("{}: {error}", test.path))
                .and_then(|source| find_test(&test.path, &source, &test.name));
            if let Err(reason) = found {
                wrong.push(format!("{}: {reason}", row.id));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_requirement_names_a_test_twice() {
    for row in table() {
        let names: BTreeSet<String> = row.tests.iter().map(ToString::to_string).collect();
        assert_eq!(names.len(), row.tests.len(), "{}", row.id);
    }
}

#[test]
fn vectors_cite_only_ids_of_the_ledger() {
    let known: BTreeSet<String> = ledger().into_iter().collect();
    for vector in aire_vectors::all() {
        assert!(!vector.requirements.is_empty(), "{} cites none", vector.id);
        for id in &vector.requirements {
            assert!(known.contains(id), "{} cites {id}", vector.id);
        }
    }
}
