require 'minitest/autorun'

class TestCalc < Minitest::Test
  i_suck_and_my_tests_are_order_dependent!

  def test_adds
    assert_equal 2, 1 + 1
  end

  def test_cuts
    puts 'some words'
    assert_equal 1, 1 - 1
  end

  def test_errs
    raise 'no such thing'
  end

  def test_waits
    skip 'not today'
  end
end
