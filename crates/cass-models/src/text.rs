//! Names and messages, as people can read them.

/// The candidate with the fewest edits; of equally near ones, the one that agrees longest from the
/// left, where the family stands.
pub(crate) fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> &'a str {
    let order = |other: &&str| {
        let same = |(a, b): &(u8, u8)| a == b;
        let shared = name.bytes().zip(other.bytes()).take_while(same).count();
        (strsim::levenshtein(other, name), std::cmp::Reverse(shared))
    };
    candidates.min_by_key(order).unwrap_or("")
}

/// What a stranger's file or server says, or Candle (which goes on with a backtrace), as a part of one
/// line.
pub(crate) fn printable(text: &str) -> String {
    const LONGEST: usize = 200;
    let line = text.lines().next().unwrap_or_default();
    let visible = line.chars().filter(|c| !c.is_control());
    visible.take(LONGEST).collect()
}
