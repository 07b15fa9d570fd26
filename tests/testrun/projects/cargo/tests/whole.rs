macro_rules! each {
    ($($name:ident: $value:expr,)*) => { mod each { $(#[test] fn $name() { assert!($value > 0); })* } }
}

each! {
    one: 1,
    two: 2,
}

#[test]
fn errors() -> Result<(), String> {
    Err("no such thing".to_string())
}
