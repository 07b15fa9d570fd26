<?php
use PHPUnit\Framework\TestCase;

final class CalcTest extends TestCase
{
    public function testPasses(): void
    {
        $this->assertSame(2, 1 + 1);
    }

    public function testFails(): void
    {
        $this->assertSame(3, 1 + 1);
    }

    public function testErrors(): void
    {
        throw new RuntimeException('no such thing');
    }

    public function testSkipped(): void
    {
        $this->markTestSkipped('on purpose');
    }

    /** @dataProvider texts */
    public function testEach(string $text): void
    {
        $this->assertNotEmpty($text);
    }

    public static function texts(): array
    {
        return ['one two' => ['x'], ['y']];
    }
}
