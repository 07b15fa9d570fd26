use calc::{add, sub};

#[test]
fn adds() {
    assert_eq!(add(1, 2), 3, "one and two");
}

#[test]
fn subs() {
    assert!(sub(3, 2) == 1 && sub(2, 2) == 0);
}
