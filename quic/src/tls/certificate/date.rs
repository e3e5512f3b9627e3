//! Dates in certificates (RFC 5280 §4.1.2.5).

use super::der::{Der, Element};
use crate::coding::Reader;

const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SECONDS_A_DAY: u64 = 86_400;
/// Days of a year before each month, and the days of that month, in a year that is not leap.
const MONTHS: [(u16, u8); 12] = [
    (0, 31),
    (31, 28),
    (59, 31),
    (90, 30),
    (120, 31),
    (151, 30),
    (181, 31),
    (212, 31),
    (243, 30),
    (273, 31),
    (304, 30),
    (334, 31),
];

/// The first and the last second of a Validity, in seconds since 1970. Nothing was signed before.
pub(super) fn validity(mut dates: Der<'_>) -> Option<(u64, u64)> {
    let first = seconds(dates.element()?)?;
    let last = seconds(dates.element()?)?;
    dates.end()?;
    Some((first, last))
}

fn seconds(date: Element<'_>) -> Option<u64> {
    let mut text = Reader::new(date.content);
    let year = match date.tag {
        UTC_TIME => match pair(&mut text)? {
            year @ 50.. => year.wrapping_add(1900),
            year => year.wrapping_add(2000),
        },
        GENERALIZED_TIME => pair(&mut text)?
            .wrapping_mul(100)
            .wrapping_add(pair(&mut text)?),
        _ => return None,
    };
    let month = pair(&mut text)?;
    let day = pair(&mut text)?;
    let hour = pair(&mut text)?;
    let minute = pair(&mut text)?;
    let second = pair(&mut text)?;
    if text.rest() != b"Z" || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let day = day_of(year, month, day)?;
    let second = hour
        .wrapping_mul(3600)
        .wrapping_add(minute.wrapping_mul(60))
        .wrapping_add(second);
    Some(
        u64::from(day)
            .wrapping_mul(SECONDS_A_DAY)
            .wrapping_add(u64::from(second)),
    )
}

/// Days since 1970 of a date that exists, from that year to 9999.
fn day_of(year: u32, month: u32, day: u32) -> Option<u32> {
    let years = year.checked_sub(1970)?;
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let index = usize::try_from(month).ok()?.checked_sub(1)?;
    let &(before, length) = MONTHS.get(index)?;
    let length = u32::from(length).wrapping_add(u32::from(leap && month == 2));
    if day == 0 || day > length {
        return None;
    }
    let leap_days = (year.wrapping_sub(1969) / 4)
        .wrapping_sub(year.wrapping_sub(1901) / 100)
        .wrapping_add(year.wrapping_sub(1601) / 400);
    Some(
        years
            .wrapping_mul(365)
            .wrapping_add(leap_days)
            .wrapping_add(u32::from(before))
            .wrapping_add(u32::from(leap && month > 2))
            .wrapping_add(day)
            .wrapping_sub(1),
    )
}

/// Two decimal digits.
fn pair(text: &mut Reader<'_>) -> Option<u32> {
    let [tens, ones] = text.array()?;
    if !tens.is_ascii_digit() || !ones.is_ascii_digit() {
        return None;
    }
    let tens = u32::from(tens.wrapping_sub(b'0'));
    let ones = u32::from(ones.wrapping_sub(b'0'));
    Some(tens.wrapping_mul(10).wrapping_add(ones))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read(tag: u8, text: &str) -> Option<u64> {
        seconds(Element {
            tag,
            content: text.as_bytes(),
            whole: &[],
        })
    }

    #[test]
    fn dates_are_seconds_since_1970() {
        for (text, expected) in [
            ("19700101000000Z", 0),
            ("19700228235959Z", 5_097_599),
            ("19720229000000Z", 68_169_600),
            ("19991231235959Z", 946_684_799),
            ("20000229120000Z", 951_825_600),
            ("20000301000000Z", 951_868_800),
            ("20380119031408Z", 1 << 31),
            ("21000301000000Z", 4_107_542_400),
            ("99991231235959Z", 253_402_300_799),
        ] {
            assert_eq!(read(GENERALIZED_TIME, text), Some(expected), "{text}");
        }
    }

    #[test]
    fn two_digits_of_a_year_are_from_1950_to_2049() {
        let utc = |text| read(UTC_TIME, text);
        assert_eq!(
            utc("491231235959Z"),
            read(GENERALIZED_TIME, "20491231235959Z")
        );
        assert_eq!(utc("700101000001Z"), Some(1));
        assert_eq!(utc("500101000000Z"), None);
        assert_eq!(utc("691231235959Z"), None);
    }

    #[test]
    fn a_century_is_leap_once_in_four() {
        let exists = |text| read(GENERALIZED_TIME, text).is_some();
        assert!(exists("20000229000000Z"));
        assert!(exists("24000229000000Z"));
        assert!(!exists("21000229000000Z"));
        assert!(!exists("20230229000000Z"));
    }

    #[test]
    fn every_day_of_four_centuries_is_a_day_behind_the_one_before() {
        let mut expected = 0;
        for year in 1970..2370 {
            for month in 1..=12 {
                for day in 1..=31 {
                    if let Some(found) = day_of(year, month, day) {
                        assert_eq!(found, expected);
                        expected = expected.wrapping_add(1);
                    }
                }
            }
        }
        assert_eq!(expected, 146_097);
    }
}
