// A simulated node's disk as one of its lives sees it: a journal over the store that survives, which is slow at times, and
// whose last writes may land when the life that made them is long over.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "storage/direct_journal.hpp"
#include "storage/memory_store.hpp"
#include "tests/sim/world.hpp"

namespace troupe::sim {

/// Who has written for which conversation, on all disks: at no time are there two homes. Copies are nobody's writing.
class Homes {
 public:
  explicit Homes(World& world) : world_(world) {}
  /// A write with a fence has succeeded.
  void wrote(const std::string& node, std::uint64_t incarnation, const storage::Fence& fence,
             const std::vector<storage::Put>& puts);

 private:
  struct Home {
    std::string node;
    std::uint64_t incarnation = 0;
    std::uint64_t epoch = 0;
  };
  World& world_;
  std::map<std::string, Home> homes_;  ///< by the fence's key, which holds the conversation's id
};

/// What a node's disk is, whoever uses it.
struct Disk {
  storage::MemoryStore store;
  Duration slow{};  ///< each write takes this much longer
};

class SimJournal final : public storage::Journal {
 public:
  SimJournal(World& world, Disk& disk, Homes& homes, std::string node, std::uint64_t incarnation);
  ~SimJournal() override;

  void commit(storage::WriteBatch batch, Done done) override;
  void read(Read read) override;

  std::size_t pending() const { return journal_.pending(); }
  /// Whether a write of a conversation is among them.
  bool writes_wait() const { return fenced_ > 0; }
  /// The life is over: what waits is lost, unless somebody calls `land_late`.
  void die() { alive_ = false; }
  /// What waited when the life ended reaches the disk after all. Batches without a fence do not: nothing would refuse them.
  void land_late();

 private:
  class LifeStore;
  storage::DirectJournal::Schedule schedule();

  World& world_;
  Disk& disk_;
  bool alive_ = true;
  std::size_t fenced_ = 0;
  std::shared_ptr<SimJournal*> self_ = std::make_shared<SimJournal*>(this);  ///< scheduled work holds it weakly
  std::unique_ptr<LifeStore> store_;
  storage::DirectJournal journal_;
};

}  // namespace troupe::sim
