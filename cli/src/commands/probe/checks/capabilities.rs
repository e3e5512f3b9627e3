//! Capabilities (`CAP`).

use aire_proto::ErrorCode::{MalformedFrame, MissingRequiredCapability};
use aire_proto::capability;

use crate::commands::probe::trial::{Trial, good};
use crate::commands::probe::verdict::{
    Check, GOOD, Verdict, check, ensure, failed, hostile, not_applicable,
};
use crate::commands::probe::wire::{Entry, HELLO, frame, number, prefixed};

pub(super) const CHECKS: &[Check] = &[
    check!(
        own_names,
        Must,
        0,
        ["CAP-1"],
        "The names of the server's capabilities keep to the grammar."
    ),
    check!(
        own_namespace,
        Must,
        0,
        ["CAP-2"],
        "Under aire. the server advertises only what the specification defines."
    ),
    check!(
        own_names_once,
        Must,
        0,
        ["CAP-7"],
        "The server names no capability twice."
    ),
    check!(
        own_order,
        Should,
        0,
        ["CAP-8"],
        "The server's capabilities are in the order of their names."
    ),
    hostile!(
        duplicate_capability,
        Must,
        0,
        ["CAP-7"],
        "A capability that is named twice is MALFORMED_FRAME."
    ),
    check!(
        two_majors,
        Must,
        0,
        ["CAP-4", "CAP-7"],
        "Two major versions of one namespace are no duplicate."
    ),
    check!(
        any_order,
        Must,
        0,
        ["CAP-8"],
        "Capabilities are taken in any order."
    ),
    check!(
        strange_names,
        Must,
        0,
        ["CAP-3"],
        "Names outside the grammar are taken, and mean nothing."
    ),
    hostile!(
        unknown_required,
        Must,
        0,
        ["CAP-6"],
        "A required capability that the server lacks is MISSING_REQUIRED_CAPABILITY."
    ),
    hostile!(
        strange_required,
        Must,
        0,
        ["CAP-3", "CAP-6"],
        "So is a required one whose name is outside the grammar."
    ),
    hostile!(
        other_major_required,
        Must,
        0,
        ["CAP-4", "CAP-6"],
        "So is a required one of which the server has another major version."
    ),
    check!(
        known_required,
        Must,
        0,
        ["CAP-6"],
        "A capability that both have is no trouble when one side requires it."
    ),
    hostile!(
        required_byte_2,
        Must,
        0,
        ["HS-5"],
        "A required byte of 2 is MALFORMED_FRAME."
    ),
    hostile!(
        not_utf8_name,
        Must,
        0,
        ["CAP-3", "WIRE-16"],
        "A name that is not UTF-8 is MALFORMED_FRAME."
    ),
    hostile!(
        endless_capabilities,
        Must,
        0,
        ["HS-8"],
        "A HELLO that claims more capabilities than it has is MALFORMED_FRAME."
    ),
];

fn own_names(trial: &Trial<'_>) -> Verdict {
    for (name, _) in &trial.subject.hello.capabilities {
        capability::check_name(name).map_err(|error| failed(format!("{name:?}: {error}")))?;
    }
    let count = trial.subject.hello.capabilities.len();
    Ok(Some(format!("{count} capabilities")))
}

fn own_namespace(trial: &Trial<'_>) -> Verdict {
    let mut names = trial.subject.hello.capabilities.iter();
    let undefined = names.find(|(name, _)| {
        name.starts_with("aire.") && !capability::DEFINED.contains(&name.as_str())
    });
    match undefined {
        Some((name, _)) => Err(failed(format!("it advertises {name:?}"))),
        None => GOOD,
    }
}

fn own_names_once(trial: &Trial<'_>) -> Verdict {
    let names = &trial.subject.hello.capabilities;
    for (index, (name, _)) in names.iter().enumerate() {
        let is_twice = names[..index].iter().any(|(earlier, _)| earlier == name);
        ensure(!is_twice, || format!("{name:?} is there twice"))?;
    }
    GOOD
}

fn own_order(trial: &Trial<'_>) -> Verdict {
    let names = trial.subject.hello.capabilities.iter();
    let names: Vec<_> = names.map(|(name, _)| name).collect();
    ensure(names.is_sorted(), || format!("they come as {names:?}"))?;
    GOOD
}

fn duplicate_capability(trial: &Trial<'_>) -> Verdict {
    let mut hello = trial.hello();
    let entry = Entry::new("x-aire-probe.twice/1", false);
    hello.capabilities.extend([entry.clone(), entry]);
    good(trial.refuses(trial.signer(), &hello, &[MalformedFrame]))
}

fn two_majors(trial: &Trial<'_>) -> Verdict {
    let names = ["x-aire-probe.two/1", "x-aire-probe.two/2"];
    good(trial.takes(trial.signer(), &trial.hello_of(trial.signer(), &names)))
}

fn any_order(trial: &Trial<'_>) -> Verdict {
    let names = ["x-aire-probe.a/1", "a-probe.b/1", "x-aire-probe.c/1"];
    let mut hello = trial.hello_of(trial.signer(), &names);
    hello.capabilities.reverse();
    good(trial.takes(trial.signer(), &hello))
}

fn strange_names(trial: &Trial<'_>) -> Verdict {
    let long = format!("x-{}/1", "a".repeat(300));
    let names = [
        "",
        "no-major",
        "/1",
        "x/01",
        "-x/1",
        "aire.unheard-of/1",
        "spät/1",
        "a b/1",
        &long,
    ];
    good(trial.takes(trial.signer(), &trial.hello_of(trial.signer(), &names)))
}

fn requires(trial: &Trial<'_>, name: &str) -> Verdict {
    let mut hello = trial.hello();
    hello.capabilities.push(Entry::new(name, true));
    good(trial.refuses(trial.signer(), &hello, &[MissingRequiredCapability]))
}

fn unknown_required(trial: &Trial<'_>) -> Verdict {
    requires(trial, "x-aire-probe.nobody-has-it/1")
}

fn strange_required(trial: &Trial<'_>) -> Verdict {
    requires(trial, "no grammar has this")
}

fn other_major_required(trial: &Trial<'_>) -> Verdict {
    let mut names = trial.subject.hello.capabilities.iter();
    let Some((namespace, _)) = names.find_map(|(name, _)| name.split_once('/')) else {
        return Err(not_applicable("the server has no capability"));
    };
    requires(trial, &format!("{namespace}/77"))
}

fn known_required(trial: &Trial<'_>) -> Verdict {
    // One that asks nothing of either side.
    let mut defined = capability::DEFINED.iter();
    let Some(name) = defined.find(|name| trial.subject.hello.has(name)) else {
        return Err(not_applicable(
            "the server has no capability that the specification defines",
        ));
    };
    let mut hello = trial.hello_of(trial.signer(), &[name]);
    for entry in &mut hello.capabilities {
        if entry.name == name.as_bytes() {
            entry.required = 1;
        }
    }
    good(trial.takes(trial.signer(), &hello))
}

fn required_byte_2(trial: &Trial<'_>) -> Verdict {
    for required in [2, 0xff] {
        let mut hello = trial.hello();
        let mut entry = Entry::new("x-aire-probe.perhaps/1", false);
        entry.required = required;
        hello.capabilities.push(entry);
        trial.refuses(trial.signer(), &hello, &[MalformedFrame])?;
    }
    GOOD
}

fn not_utf8_name(trial: &Trial<'_>) -> Verdict {
    let mut hello = trial.hello();
    let mut entry = Entry::new("", false);
    entry.name = b"x-\xc3\x28/1".into();
    hello.capabilities.push(entry);
    good(trial.refuses(trial.signer(), &hello, &[MalformedFrame]))
}

fn endless_capabilities(trial: &Trial<'_>) -> Verdict {
    let did = trial.hello().node_id;
    let inner = [number(0), number(4), prefixed(&did), number((1 << 62) - 1)].concat();
    good(trial.refuses_bytes(&frame(HELLO, 0, &inner), &[MalformedFrame]))
}
