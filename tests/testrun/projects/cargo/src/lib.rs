/// Adds.
///
/// ```
/// assert_eq!(calc::add(1, 1), 2);
/// ```
pub fn add(a: i32, b: i32) -> i32 {
    a + b
}

#[cfg(test)]
mod tests {
    use super::add;

    #[test]
    fn passes() {
        assert_eq!(add(1, 1), 2);
    }

    #[test]
    fn fails() {
        println!("test tests::fails ... ok");
        println!("test result: ok. 9 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out");
        assert_eq!(add(1, 1), 3);
    }

    #[test]
    #[ignore = "on purpose"]
    fn skipped() {}

    #[test]
    #[should_panic]
    fn panics() {
        panic!("as it should")
    }
}
