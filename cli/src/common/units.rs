//! Times and amounts as people write them.

use std::time::Duration;

use aire_proto::wire::Currency;

/// A time: `250ms`, `1.5s`, `2m`, `1h`, `30d`. A number alone is refused: of what?
///
/// # Errors
/// What is wrong with it, in words.
pub fn time(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no time: 250ms, 1.5s, 2m and 1h are");
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let millis: u64 = match &text[digits.len()..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    // Counted in millionths, so that 0.001h is exactly 3.6 s.
    let millionths = millionths(digits).ok_or_else(wrong)?;
    let nanos = u128::from(millionths) * u128::from(millis);
    u64::try_from(nanos)
        .map(Duration::from_nanos)
        .map_err(|_| format!("{text:?} is too long a time"))
}

/// An amount of money in millionths, and its currency: `0.25USD`, `0.25 EUR`, or `0.25` for US
/// dollars.
///
/// # Errors
/// What is wrong with it, in words.
pub fn money(text: &str) -> Result<(u64, Currency), String> {
    let wrong = || format!("{text:?} is no amount: 0.25USD and 3EUR are");
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let currency = match &text.as_bytes()[digits.len()..] {
        [] => Currency::USD,
        letters => <[u8; 3]>::try_from(letters)
            .ok()
            .and_then(Currency::new)
            .ok_or_else(wrong)?,
    };
    let amount = millionths(digits.trim_end()).ok_or_else(wrong)?;
    Ok((amount, currency))
}

/// A decimal number with at most six digits behind its point, in millionths.
fn millionths(text: &str) -> Option<u64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let is_number = |digits: &str| digits.bytes().all(|digit| digit.is_ascii_digit());
    if whole.is_empty() || !is_number(whole) || !is_number(part) || part.len() > 6 {
        return None;
    }
    if text.contains('.') && part.is_empty() {
        return None;
    }
    let whole: u64 = whole.parse().ok()?;
    let part: u64 = format!("{part:0<6}").parse().ok()?;
    whole.checked_mul(1_000_000)?.checked_add(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        for (text, millis) in [
            ("250ms", 250),
            ("0s", 0),
            ("1.5s", 1_500),
            ("2m", 120_000),
            ("1h", 3_600_000),
            ("1d", 86_400_000),
        ] {
            assert_eq!(time(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in [
            "",
            "5",
            "s",
            "-1s",
            "1.s",
            "1e3s",
            "5 s",
            "99999999999999d",
            "1µs",
        ] {
            assert!(time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn amounts_are_read_as_people_write_them() {
        let euro = Currency::new(*b"EUR").expect("it is one");
        assert_eq!(money("0.25"), Ok((250_000, Currency::USD)));
        assert_eq!(money("3 EUR"), Ok((3_000_000, euro)));
        assert_eq!(money("0.000001EUR"), Ok((1, euro)));
        for text in [
            "",
            "EUR",
            "1EURO",
            "1.0000001",
            "-1",
            "1,5",
            "18446744073710",
        ] {
            assert!(money(text).is_err(), "{text}");
        }
    }
}
