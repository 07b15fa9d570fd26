package calc

import "testing"

func TestPasses(t *testing.T) {
	if Add(1, 1) != 2 {
		t.Fatal("wrong")
	}
}

func TestFails(t *testing.T) {
	t.Fatal("on purpose")
}

func TestSkipped(t *testing.T) {
	t.Skip("on purpose")
}

func TestEach(t *testing.T) {
	for _, name := range []string{"one two", "a/b"} {
		t.Run(name, func(t *testing.T) {})
	}
}
