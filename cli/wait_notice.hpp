// Says what a question is likely to wait for, if nothing of its answer comes for a while.
#pragma once

#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

#include "clients/cpp/client.hpp"

namespace troupe::cli {

/// The end of a sentence that names the nodes that are gone, if some are.
std::string who_is_gone(const policy::ClusterView& cluster);
/// What somebody who waits should know of the cluster: the tiers that no node serves, and how to bring one; else how busy it
/// is; and who is gone.
std::string why_it_waits(const policy::ClusterView& cluster);

/// Lives as long as the question is asked; tells once, on the error stream.
class WaitNotice {
 public:
  static constexpr Duration patience = std::chrono::seconds(2);

  explicit WaitNotice(clients::Client client);
  ~WaitNotice();
  WaitNotice(const WaitNotice&) = delete;
  WaitNotice& operator=(const WaitNotice&) = delete;

  /// Something has come: the waiting begins anew. Once an answer is being shown, nothing is said in its middle.
  void take(const policy::TurnEvent& event);

 private:
  void watch();

  clients::Client client_;
  std::mutex mutex_;
  std::condition_variable changed_;
  TimePoint heard_;
  bool ended_ = false;
  std::thread thread_;
};

}  // namespace troupe::cli
