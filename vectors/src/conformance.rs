//! The conformance table: which tests prove which requirement.
//!
//! `conformance.toml` lists every id of the requirement ledger and of the gap
//! decisions in order, `conformance-airc.toml` the same for AIRC; a requirement without a test is open, and shows as such.
//! What keeps the table honest is [`find_test`]: this crate's tests run it over
//! every test that the table names.

use std::error::Error;
use std::fmt::{self, Write as _};

use serde::Deserialize;

/// The tables as compiled in: AIRE's, and AIRC's.
const TABLES: [&str; 2] = [
    include_str!("../conformance.toml"),
    include_str!("../conformance-airc.toml"),
];

/// One requirement, and the tests that prove it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// The ledger's id: `WIRE-1`, say, or `GAP-9`.
    pub id: String,
    /// A few words on it.
    pub title: String,
    /// The tests. Empty while it is open.
    pub tests: Vec<TestName>,
}

/// Where a test stands, and its name: `proto/src/varint.rs::the_shortest_wins`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestName {
    /// The file, relative to the workspace.
    pub path: String,
    /// The function.
    pub name: String,
}

impl fmt::Display for TestName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}::{}", self.path, self.name)
    }
}

/// Why a table cannot be read.
#[derive(Debug)]
pub struct TableError(String);

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "conformance table: {}", self.0)
    }
}

impl Error for TableError {}

/// The project's table.
///
/// # Panics
///
/// When a compiled-in table cannot be read, which this crate's tests rule out.
pub fn table() -> Vec<Requirement> {
    let rows = TABLES.into_iter().map(|text| match parse(text) {
        Ok(table) => table,
        Err(error) => panic!("{error}"),
    });
    rows.flatten().collect()
}

/// Reads a table.
///
/// # Errors
///
/// [`TableError`] where the text is not TOML, a field is missing or unknown, a title
/// is empty, or a test is not written `path::name`.
pub fn parse(text: &str) -> Result<Vec<Requirement>, TableError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Table {
        requirement: Vec<Row>,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Row {
        id: String,
        title: String,
        tests: Vec<String>,
    }
    let table: Table = toml::from_str(text).map_err(|error| TableError(error.to_string()))?;
    table
        .requirement
        .into_iter()
        .map(|row| {
            if row.title.trim().is_empty() {
                return Err(TableError(format!("{} has no title", row.id)));
            }
            let tests = row
                .tests
                .iter()
                .map(|test| {
                    test_name(test)
                        .ok_or_else(|| TableError(format!("{}: {test} is no path::name", row.id)))
                })
                .collect::<Result<_, _>>()?;
            Ok(Requirement {
                id: row.id,
                title: row.title,
                tests,
            })
        })
        .collect()
}

fn test_name(text: &str) -> Option<TestName> {
    let (path, name) = text.split_once("::")?;
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if path.is_empty() || name.is_empty() || !name.chars().all(plain) {
        return None;
    }
    Some(TestName {
        path: path.to_owned(),
        name: name.to_owned(),
    })
}

/// The table as text: id, title, how many tests or `OPEN`, the tests one below the
/// other; at the end a line that counts. With `only_open`, rows with tests are left
/// out, but still counted.
pub fn render(table: &[Requirement], only_open: bool) -> String {
    let column = |length: fn(&Requirement) -> usize| table.iter().map(length).max().unwrap_or(0);
    let ids = column(|requirement| requirement.id.len());
    let titles = column(|requirement| requirement.title.chars().count());
    let mut text = String::new();
    for requirement in table {
        let Requirement { id, title, tests } = requirement;
        let state = match tests.len() {
            0 => "OPEN".to_owned(),
            count => count.to_string(),
        };
        if !only_open || tests.is_empty() {
            let mut line = format!("{id:ids$}  {title:titles$}  {state:>4}");
            for (index, test) in tests.iter().enumerate() {
                if index > 0 {
                    let _ = write!(line, "\n{:width$}", "", width = ids + titles + 8);
                }
                let _ = write!(line, "  {test}");
            }
            let _ = writeln!(text, "{line}");
        }
    }
    let open = table.iter().filter(|row| row.tests.is_empty()).count();
    let proven = table.len() - open;
    let _ = writeln!(text, "{} ids, {proven} proven, {open} open", table.len());
    text
}

/// Whether a test is really there: `source` is the text of the file `path`.
///
/// A Rust test is a function whose attributes hold `#[test]` (or another attribute
/// path that ends in `test`, such as `#[property_test]`); inside `proptest!` that
/// attribute stands as well. One that is `#[ignore]`d proves nothing, and does not
/// count. A Go test is a `func TestName(` in a file `*_test.go`.
///
/// # Errors
///
/// What a person needs to know to repair the table.
pub fn find_test(path: &str, source: &str, name: &str) -> Result<(), String> {
    if path.ends_with("_test.go") {
        let start = format!("func {name}(");
        let found = name.starts_with("Test") && source.lines().any(|line| line.starts_with(&start));
        return found.then_some(()).ok_or(format!("no {start} in {path}"));
    }
    if !path.ends_with(".rs") {
        return Err(format!("{path} is neither a Rust file nor a Go test file"));
    }
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let start = format!("fn {name}(");
    let generic = format!("fn {name}<");
    let mut reason = format!("no {start} in {path}");
    for (at, line) in lines.iter().enumerate() {
        let head = line.strip_prefix("pub ").unwrap_or(line);
        let head = head.strip_prefix("async ").unwrap_or(head);
        if !head.starts_with(&start) && !head.starts_with(&generic) {
            continue;
        }
        let attributes: Vec<&str> = lines[..at]
            .iter()
            .rev()
            .take_while(|line| line.starts_with('#') || line.starts_with("//"))
            .filter_map(|line| line.strip_prefix("#["))
            .collect();
        if attributes.iter().any(|text| text.starts_with("ignore")) {
            reason = format!("{name} in {path} is ignored");
        } else if attributes.iter().any(|text| is_test_attribute(text)) {
            return Ok(());
        } else {
            reason = format!("{name} in {path} is no test");
        }
    }
    Err(reason)
}

/// Whether an attribute, given from behind its `#[` on, makes a function a test.
fn is_test_attribute(text: &str) -> bool {
    let end = text.find(['(', ']']).unwrap_or(text.len());
    let path = text.get(..end).unwrap_or_default().trim();
    let last = path.rsplit("::").next().unwrap_or_default();
    last == "test" || last.ends_with("_test")
}

#[cfg(test)]
mod tests {
    use super::{find_test, parse, render};

    const SMALL: &str = r#"
        [[requirement]]
        id = "WIRE-1"
        title = "the envelope"
        tests = ["proto/src/wire.rs::reads_it", "proto/src/wire.rs::writes_it"]

        [[requirement]]
        id = "GAP-10"
        title = "what follows"
        tests = []
    "#;

    #[test]
    fn rows_show_tests_or_that_they_are_open() {
        let table = parse(SMALL).expect("it is a table");
        let expected = concat!(
            "WIRE-1  the envelope     2  proto/src/wire.rs::reads_it\n",
            "                            proto/src/wire.rs::writes_it\n",
            "GAP-10  what follows  OPEN\n",
            "2 ids, 1 proven, 1 open\n",
        );
        assert_eq!(render(&table, false), expected);
    }

    #[test]
    fn only_open_rows_show_when_asked_for() {
        let table = parse(SMALL).expect("it is a table");
        let expected = "GAP-10  what follows  OPEN\n2 ids, 1 proven, 1 open\n";
        assert_eq!(render(&table, true), expected);
    }

    #[test]
    fn a_table_with_holes_is_refused() {
        for (from, to) in [
            ("title = \"the envelope\"", ""),
            ("the envelope", " "),
            ("wire.rs::reads_it", "wire.rs"),
            ("wire.rs::reads_it", "wire.rs::reads it"),
            ("tests = []", "tests = []\nowner = 1"),
        ] {
            assert!(parse(&SMALL.replace(from, to)).is_err(), "{from} -> {to}");
        }
    }

    #[test]
    fn a_rust_test_needs_its_attribute() {
        let source = "
            fn bystander() {}

            #[test]
            // Why.
            fn plain() {}

            proptest! {
                /// What.
                #[test]
                fn property(x in 0..9u8) {}
            }

            #[tokio::test(flavor = \"current_thread\")]
            async fn elsewhere() {}

            #[test]
            #[ignore = \"slow\"]
            fn slow() {}

            // #[test]
            // fn gone() {}

            #[cfg(test)]
            fn support() {}
        ";
        for name in ["plain", "property", "elsewhere"] {
            assert_eq!(find_test("a.rs", source, name), Ok(()), "{name}");
        }
        for (name, reason) in [
            ("bystander", "bystander in a.rs is no test"),
            ("support", "support in a.rs is no test"),
            ("slow", "slow in a.rs is ignored"),
            ("gone", "no fn gone( in a.rs"),
            ("plai", "no fn plai( in a.rs"),
        ] {
            assert_eq!(find_test("a.rs", source, name), Err(reason.to_owned()));
        }
    }

    #[test]
    fn a_go_test_needs_its_name_and_file() {
        let source = "func TestHello(t *testing.T) {\n}\nfunc bystander() {}\n";
        assert_eq!(find_test("interop/a_test.go", source, "TestHello"), Ok(()));
        assert!(find_test("interop/a_test.go", source, "bystander").is_err());
        assert!(find_test("interop/a_test.go", source, "TestHell").is_err());
        assert!(find_test("interop/a.go", source, "TestHello").is_err());
    }
}
