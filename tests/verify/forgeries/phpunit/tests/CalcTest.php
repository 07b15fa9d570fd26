<?php

use PHPUnit\Framework\TestCase;

require_once __DIR__ . '/../src/calc.php';

final class CalcTest extends TestCase
{
    public function testAdds(): void
    {
        $this->assertSame(3, add(1, 2));
    }

    public function testSubtracts(): void
    {
        self::assertTrue(sub(3, 2) === 1);
    }
}
