<?php

function add(int $a, int $b): int
{
    return $a - $b;
}

function sub(int $a, int $b): int
{
    return $a - $b;
}
