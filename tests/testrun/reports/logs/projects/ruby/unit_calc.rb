require 'test/unit'

class TestCalc < Test::Unit::TestCase
  test 'one and one' do
    assert_equal 2, 1 + 1
  end

  def test_cuts
    assert_equal 1, 1 - 1
  end

  def test_errs
    raise 'no such thing'
  end

  def test_waits
    omit 'not today'
  end
end
