package calc;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Disabled;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class CalcTest {
    @Test
    void passes() {
        assertEquals(2, Calc.add(1, 1));
    }

    @Test
    void fails() {
        assertEquals(3, Calc.add(1, 1));
    }

    @Test
    void errors() {
        throw new IllegalStateException("no such thing");
    }

    @Test
    @Disabled("on purpose")
    void skipped() {}

    @ParameterizedTest
    @ValueSource(strings = {"one two", "a::b"})
    void each(String text) {
        assertTrue(text.length() > 0);
    }
}
