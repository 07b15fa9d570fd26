require_relative "../lib/calc"

RSpec.describe "calc" do
  it("adds") { expect(add(1, 2)).to eq 3 }

  it "subtracts" do
    expect(sub(3, 2)).not_to eq(0)
  end
end
