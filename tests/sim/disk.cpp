#include "tests/sim/disk.hpp"

#include <algorithm>
#include <utility>

namespace troupe::sim {

namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

/// Whether something of a kind is written (storage/conversation_keys.hpp says how keys are made).
bool has_kind(const std::vector<storage::Put>& puts, char kind) {
  constexpr std::size_t kind_at = 24;
  return std::any_of(puts.begin(), puts.end(), [kind](const storage::Put& put) {
    return put.column == storage::Column::conversations && put.value && put.key.size() > kind_at && put.key[kind_at] == kind;
  });
}
/// Whether a batch makes an attempt's plan durable.
bool has_plan(const storage::WriteBatch& batch) {
  constexpr char plan_kind = 4;
  return has_kind(batch.puts, plan_kind);
}
bool has_pins(const storage::WriteBatch& batch) {
  constexpr char pins_kind = 11;
  return has_kind(batch.puts, pins_kind);
}
/// Whether it belongs to a copy: it marks one, or has records of one with its mark.
bool is_copy(const std::vector<storage::Put>& puts) {
  constexpr char copy_kind = 9;
  return has_kind(puts, copy_kind);
}
bool only_removes(const std::vector<storage::Put>& puts) {
  return std::none_of(puts.begin(), puts.end(), [](const storage::Put& put) { return put.value.has_value(); });
}

}  // namespace

void Homes::wrote(const std::string& node, std::uint64_t incarnation, const storage::Fence& fence,
                  const std::vector<storage::Put>& puts) {
  if (is_copy(puts) || only_removes(puts)) return;
  const Home now{node, incarnation, fence.epoch};
  const auto [entry, first] = homes_.emplace(fence.key, now);
  if (first) return;
  Home& before = entry->second;
  const auto tell = [&](const std::string& what) {
    world_.violated(what + ": life " + std::to_string(incarnation) + " of " + node + " wrote under epoch " +
                    std::to_string(fence.epoch) + " after life " + std::to_string(before.incarnation) + " of " + before.node +
                    " under epoch " + std::to_string(before.epoch));
  };
  if (fence.epoch < before.epoch) return tell("a home that was replaced has written");
  if (fence.epoch == before.epoch && node != before.node) return tell("two nodes are home to one conversation");
  if (fence.epoch == before.epoch && incarnation != before.incarnation) return tell("two lives hold one lease");
  before = now;
}

/// The store through the eyes of one life.
class SimJournal::LifeStore final : public storage::Store {
 public:
  LifeStore(SimJournal& journal, Homes& homes, std::string node, std::uint64_t incarnation)
      : journal_(journal), homes_(homes), node_(std::move(node)), incarnation_(incarnation) {}

  Result<std::optional<std::string>> get(storage::Column column, std::string_view key) const override {
    return store().get(column, key);
  }
  Result<std::vector<storage::KeyValue>> scan(storage::Column column, std::string_view begin, std::string_view end,
                                              std::size_t limit, bool backwards) const override {
    return store().scan(column, begin, end, limit, backwards);
  }
  std::vector<Result<void>> write(const std::vector<storage::WriteBatch>& batches) override {
    std::vector<Result<void>> results;
    for (storage::WriteBatch batch : batches) {
      const auto fence = batch.fence;
      if (!journal_.alive_ && !fence) {
        results.emplace_back(Error{ErrorCode::io, "the life that wrote this is over"});
        continue;
      }
      if (journal_.world_.defect() == Defect::epoch_not_checked) batch.fence.reset();
      results.push_back(store().write({batch}).front());
      if (fence && results.back()) homes_.wrote(node_, incarnation_, *fence, batch.puts);
    }
    return results;
  }

 private:
  storage::MemoryStore& store() const { return journal_.disk_.store; }

  SimJournal& journal_;
  Homes& homes_;
  std::string node_;
  std::uint64_t incarnation_;
};

SimJournal::SimJournal(World& world, Disk& disk, Homes& homes, std::string node, std::uint64_t incarnation)
    : world_(world),
      disk_(disk),
      store_(std::make_unique<LifeStore>(*this, homes, std::move(node), incarnation)),
      journal_(*store_, schedule()) {
  disk.store.skip_sync(world.defect() == Defect::missing_fsync);
}

SimJournal::~SimJournal() = default;

storage::DirectJournal::Schedule SimJournal::schedule() {
  return [this](std::function<void()> work) {
    const Duration delay = world_.between(microseconds(200), milliseconds(5)) + disk_.slow;
    world_.schedule(delay, [self = std::weak_ptr(self_), work = std::move(work)] {
      const auto journal = self.lock();
      if (journal && (*journal)->alive_) work();
    });
  };
}

void SimJournal::commit(storage::WriteBatch batch, Done done) {
  if (!alive_) return;
  const bool late_plan = world_.defect() == Defect::plan_after_token && has_plan(batch) && !is_copy(batch.puts);
  const bool late_copy = world_.defect() == Defect::late_copy && is_copy(batch.puts) && batch.puts.size() > 1;
  const bool late_pins = world_.defect() == Defect::late_pins && has_pins(batch) && !is_copy(batch.puts);
  if (late_plan || late_copy || late_pins) {
    done({});
    world_.schedule(milliseconds(100), [self = std::weak_ptr(self_), batch = std::move(batch)]() mutable {
      const auto journal = self.lock();
      if (journal && (*journal)->alive_) (*journal)->journal_.commit(std::move(batch), [](const Result<void>&) {});
    });
    return;
  }
  if (!batch.fence) return journal_.commit(std::move(batch), std::move(done));
  ++fenced_;
  journal_.commit(std::move(batch), [this, done = std::move(done)](Result<void> written) {
    --fenced_;
    done(std::move(written));
  });
}

void SimJournal::read(Read read) {
  if (alive_) journal_.read(std::move(read));
}

void SimJournal::land_late() { journal_.complete_all(); }

}  // namespace troupe::sim
