RSpec.describe "calc" do
  it("passes") { expect(1 + 1).to eq 2 }
  it("fails") { expect(1 + 1).to eq 3 }
  it("errors") { raise "no such thing" }
  xit("skipped") { expect(1).to eq 2 }
  it("is pending") { pending "on purpose"; expect(1).to eq 2 }
  ["one two", "a::b"].each { |text| it("each #{text}") { expect(text).to be_truthy } }
end
