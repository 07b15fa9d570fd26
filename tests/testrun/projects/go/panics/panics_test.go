package panics

import "testing"

func TestBefore(t *testing.T) {}

func TestErrors(t *testing.T) {
	panic("on purpose")
}

func TestNever(t *testing.T) {}
