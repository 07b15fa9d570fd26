package calc

import "testing"

func TestAdd(t *testing.T) {
	if got, want := Add(1, 2), 3; got != want {
		t.Errorf("Add(1, 2) = %d, want %d", got, want)
	}
}

func TestSub(t *testing.T) {
	for _, c := range []struct{ a, b, want int }{{3, 2, 1}, {2, 2, 0}} {
		if got := Sub(c.a, c.b); got != c.want {
			t.Fatalf("Sub(%d, %d) = %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
