//! Postgres' `numeric`, of any precision, as decimal text and in its binary form
//! (`src/backend/utils/adt/numeric.c`, `numeric_send` and `numeric_recv`).

use bytes::{Buf, BufMut};

const POSITIVE: u16 = 0x0000;
const NEGATIVE: u16 = 0x4000;
const NAN: u16 = 0xC000;
const INFINITY: u16 = 0xD000;
const NEGATIVE_INFINITY: u16 = 0xF000;

/// Decimal digits in one digit of the binary form, which is to the base 10,000.
const GROUP: usize = 4;

/// What Postgres keeps at most before and after the decimal point, in decimal digits.
const MAX_INTEGER_DIGITS: usize = 131_072;
const MAX_FRACTION_DIGITS: usize = 16_383;

/// The binary form of `text`: a sign, digits, a point and digits; or `NaN`, `Infinity`, `-Infinity`.
/// `None` if it is neither, or larger than Postgres takes.
pub fn encode(text: &str, out: &mut impl BufMut) -> Option<()> {
    let special = match text {
        "NaN" => Some(NAN),
        "Infinity" => Some(INFINITY),
        "-Infinity" => Some(NEGATIVE_INFINITY),
        _ => None,
    };
    if let Some(sign) = special {
        put(out, &[], 0, sign, 0);
        return Some(());
    }
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (NEGATIVE, digits),
        None => (POSITIVE, text.strip_prefix('+').unwrap_or(text)),
    };
    let (integer, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if integer.is_empty() && fraction.is_empty() {
        return None;
    }
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !all_digits(integer) || !all_digits(fraction) {
        return None;
    }
    let scale = fraction.len();
    let integer = integer.trim_start_matches('0');
    if integer.len() > MAX_INTEGER_DIGITS || scale > MAX_FRACTION_DIGITS {
        return None;
    }
    // Groups of four count from the decimal point, so both ends are filled up with zeros.
    let before = (GROUP - integer.len() % GROUP) % GROUP;
    let after = (GROUP - scale % GROUP) % GROUP;
    let padded: Vec<u8> = std::iter::repeat_n(b'0', before)
        .chain(integer.bytes())
        .chain(fraction.bytes())
        .chain(std::iter::repeat_n(b'0', after))
        .collect();
    let groups: Vec<u16> = padded
        .chunks(GROUP)
        .map(|group| {
            group
                .iter()
                .fold(0, |value, digit| value * 10 + u16::from(digit - b'0'))
        })
        .collect();
    let integer_groups = (before + integer.len()) / GROUP;
    let leading_zeros = groups.iter().take_while(|group| **group == 0).count();
    let significant = without_trailing_zeros(&groups[leading_zeros..]);
    let weight = i16::try_from(integer_groups as i64 - 1 - leading_zeros as i64).ok()?;
    let weight = if significant.is_empty() { 0 } else { weight };
    let sign = if significant.is_empty() {
        POSITIVE
    } else {
        sign
    };
    put(out, significant, weight, sign, u16::try_from(scale).ok()?);
    Some(())
}

/// The reverse of [`encode`], with as many decimal places as the value carries.
pub fn decode(mut bytes: &[u8]) -> Option<String> {
    let count = usize::from(bytes.try_get_u16().ok()?);
    let weight = i32::from(bytes.try_get_i16().ok()?);
    let sign = bytes.try_get_u16().ok()?;
    let scale = usize::from(bytes.try_get_u16().ok()?);
    let mut text = match sign {
        POSITIVE => String::new(),
        NEGATIVE => "-".to_owned(),
        NAN => return Some("NaN".to_owned()),
        INFINITY => return Some("Infinity".to_owned()),
        NEGATIVE_INFINITY => return Some("-Infinity".to_owned()),
        _ => return None,
    };
    let mut groups = Vec::with_capacity(count);
    for _ in 0..count {
        groups.push(bytes.try_get_u16().ok()?);
    }
    // The group that stands `position` places left of the decimal point, 0 being the first left of it.
    let group = |position: i32| -> u16 {
        usize::try_from(weight - position)
            .ok()
            .and_then(|index| groups.get(index))
            .copied()
            .unwrap_or(0)
    };
    let integer: String = (0..=weight)
        .rev()
        .map(|position| format!("{:04}", group(position)))
        .collect();
    let integer = integer.trim_start_matches('0');
    text.push_str(if integer.is_empty() { "0" } else { integer });
    if scale > 0 {
        let fraction: String = (1..=scale.div_ceil(GROUP) as i32)
            .map(|place| format!("{:04}", group(-place)))
            .collect();
        text.push('.');
        text.push_str(&fraction[..scale]);
    }
    Some(text)
}

fn put(out: &mut impl BufMut, groups: &[u16], weight: i16, sign: u16, scale: u16) {
    // At most (131,072 + 16,383) / 4 groups.
    out.put_u16(groups.len() as u16);
    out.put_i16(weight);
    out.put_u16(sign);
    out.put_u16(scale);
    for group in groups {
        out.put_u16(*group);
    }
}

fn without_trailing_zeros(groups: &[u16]) -> &[u16] {
    let zeros = groups.iter().rev().take_while(|group| **group == 0).count();
    &groups[..groups.len() - zeros]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        let mut bytes = Vec::new();
        let decoded = encode(text, &mut bytes).map(|()| decode(&bytes).unwrap());
        assert_eq!(decoded.as_deref(), expected, "{text}");
    }

    #[test]
    fn numbers_of_any_size_come_back() {
        for text in [
            "0",
            "0.00",
            "1",
            "-1",
            "10000",
            "9999",
            "12345.6789",
            "0.0001",
            "0.00001",
            "-0.10",
            "100000000000000000000000000000000000000000000000.000000000000000000000000000000001",
            "3.1415926535897932384626433832795028841971",
            "NaN",
            "Infinity",
            "-Infinity",
        ] {
            check(text, Some(text));
        }
    }

    #[test]
    fn other_spellings_are_understood() {
        check("+1.5", Some("1.5"));
        check("007", Some("7"));
        check(".5", Some("0.5"));
        check("5.", Some("5"));
        check("-0", Some("0"));
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in ["", ".", "-", "1e5", "1,5", "0x1", "١", " 1", "--1", "nan"] {
            check(text, None);
        }
        check(&"9".repeat(MAX_INTEGER_DIGITS + 1), None);
        check(&format!("0.{}", "9".repeat(MAX_FRACTION_DIGITS + 1)), None);
    }

    #[test]
    fn broken_bytes_are_no_number() {
        assert_eq!(decode(&[0, 1, 0]), None);
        assert_eq!(decode(&[0, 1, 0, 0, 0, 0, 0, 0]), None);
        assert_eq!(decode(&[0, 0, 0, 0, 0x12, 0, 0, 0]), None);
    }
}
