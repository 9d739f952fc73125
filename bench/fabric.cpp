#include "bench/fabric.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <optional>

#include "base/histogram.hpp"
#include "bench/fabric_process.hpp"
#include "bench/transfer_rate.hpp"

namespace troupe::bench {

namespace {

using cluster::Channel;
Result<double> measure_messages(FabricProcess& process, std::span<const std::byte> memory, int transfers) {
  // An answer to each says that it has been received.
  cluster::Fabric& fabric = *process.end().fabric;
  const auto result = measure(memory.size(), transfers, [&](TransferCount& count) {
    fabric.receive(Channel::expert_results, [&count](const cluster::NodeId&, const cluster::Payload&) { count.add(); });
    fabric.send(far_end, Channel::test, {nullptr, memory}, TimePoint::max(), nullptr);
  });
  fabric.receive(Channel::expert_results, nullptr);
  return result;
}

Result<Histogram> measure_round_trips(FabricProcess& process, std::size_t bytes, int round_trips) {
  cluster::Fabric& fabric = *process.end().fabric;
  const std::vector<std::byte> memory(bytes, std::byte{3});
  const int warm = round_trips / 10;
  Histogram histogram;
  TransferCount count;
  // The next one goes out from within the answer's call, as an engine's next step does.
  int begun = 0;
  Steady::time_point started;
  const auto next = [&] {
    started = Steady::now();
    ++begun;
    fabric.send(far_end, Channel::expert_work, {nullptr, memory}, TimePoint::max(), nullptr);
  };
  fabric.receive(Channel::expert_results, [&](const cluster::NodeId&, const cluster::Payload&) {
    if (begun > warm) histogram.record(Steady::now() - started);
    if (begun < warm + round_trips) next();
    count.add();
  });
  next();
  const auto waited = count.wait(warm + round_trips);
  fabric.receive(Channel::expert_results, nullptr);
  if (!waited) return waited.error();
  return histogram;
}

/// UCX alone: the same, driven by a loop that never sleeps.
class RawWire {
 public:
  static Result<RawWire> begin(FabricProcess& process, std::size_t bytes_max) {
    TROUPE_TRY_DO(process.serve_raw());
    return RawWire(process, bytes_max);
  }
  Result<double> bandwidth(std::size_t bytes, int transfers) {
    const int warm = (transfers + 4) / 5;
    Steady::time_point started = Steady::now();
    const int before = answers_;
    for (int i = 0; i < warm + transfers; ++i) {
      if (i == warm) {
        TROUPE_TRY_DO(await(before + warm));
        started = Steady::now();
      }
      TROUPE_TRY_DO(await(before + i - transfers_under_way + 1));
      send(raw_bulk, bytes);
    }
    TROUPE_TRY_DO(await(before + warm + transfers));
    return rate(bytes, transfers, started);
  }
  Result<Histogram> round_trips(std::size_t bytes, int count) {
    Histogram histogram;
    for (int i = 0; i < count + count / 10; ++i) {
      const auto started = Steady::now();
      send(raw_echo, bytes);
      TROUPE_TRY_DO(await(answers_ + 1));
      if (i >= count / 10) histogram.record(Steady::now() - started);
    }
    return histogram;
  }
  void end() {
    send(raw_stop, 0);
    while (sending_ > 0) wire_->progress();
    wire_->listen({});
  }

 private:
  RawWire(FabricProcess& process, std::size_t bytes_max)
      : wire_(process.end().wire.get()), link_(process.end().link), memory_(bytes_max, std::byte{1}), answer_(bytes_max) {}
  void send(std::string_view head, std::size_t bytes) {
    ++sending_;
    wire_->listen({[this](cluster::Arrival& arrival) {
                     if (arrival.bytes() > answer_.size()) return;
                     arrival.receive(std::span(answer_).first(arrival.bytes()), [this](const Result<void>&) { ++answers_; });
                   },
                   [this](cluster::LinkId, const Error& why) { broke_ = why; }});
    wire_->send(link_, std::string(head), std::span(memory_).first(bytes), [this](const Result<void>&) { --sending_; });
  }
  Result<void> await(int answers) {
    const auto until = Steady::now() + transfer_patience;
    while (answers_ < answers) {
      if (broke_) return *broke_;
      if (!wire_->progress() && Steady::now() > until) {
        return Error{ErrorCode::deadline_exceeded, "UCX alone took longer than a minute"};
      }
    }
    return {};
  }

  cluster::Wire* wire_;
  cluster::LinkId link_;
  std::vector<std::byte> memory_;
  std::vector<std::byte> answer_;
  int sending_ = 0;
  int answers_ = 0;
  std::optional<Error> broke_;
};

Result<double> measure_socket(FabricProcess& process, std::span<const std::byte> memory, int transfers) {
  TROUPE_TRY(const int connection, process.serve_socket(memory.size()));
  const int warm = (transfers + 4) / 5;
  Steady::time_point started = Steady::now();
  bool fine = true;
  for (int i = 0; i < warm + transfers && fine; ++i) {
    if (i == warm) started = Steady::now();
    for (std::size_t at = 0; at < memory.size() && fine;) {
      const ssize_t sent = ::send(connection, memory.data() + at, memory.size() - at, MSG_NOSIGNAL);
      fine = sent > 0;
      if (fine) at += static_cast<std::size_t>(sent);
    }
    // Two under way, as everywhere: what is waited for is the one before.
    char answer = 0;
    if (i > 0) fine = fine && ::recv(connection, &answer, 1, 0) == 1;
  }
  const double bytes_per_second = rate(memory.size(), transfers, started);
  ::close(connection);
  if (!fine) return Error{ErrorCode::io, "the socket of the benchmark broke"};
  return bytes_per_second;
}

Result<FabricBandwidth> measure_bandwidth(FabricProcess& process, std::size_t bytes, const FabricBenchOptions& options) {
  const auto owner = std::make_shared<std::vector<std::byte>>(bytes, std::byte{2});
  cluster::Fabric& fabric = *process.end().fabric;
  TROUPE_TRY(const auto region, fabric.expose(*owner, owner));
  const std::vector<cluster::Piece> whole = {{0, 0, bytes}};
  std::array<std::vector<double>, 5> rates;
  for (int round = 0; round < options.rounds; ++round) {
    TROUPE_TRY(auto raw, RawWire::begin(process, bytes));
    TROUPE_TRY(const double raw_rate, raw.bandwidth(bytes, options.transfers));
    raw.end();
    TROUPE_TRY(const double messages, measure_messages(process, *owner, options.transfers));
    TROUPE_TRY(const double gets, measure(bytes, options.transfers, [&](TransferCount& count) {
                 fabric.get(far_end, process.region(), region, whole, TimePoint::max(), count.done());
               }));
    TROUPE_TRY(const double puts, measure(bytes, options.transfers, [&](TransferCount& count) {
                 fabric.put(far_end, region, process.region(), whole, TimePoint::max(), count.done());
               }));
    TROUPE_TRY(const double tcp, measure_socket(process, *owner, options.transfers));
    const std::array<double, 5> these = {messages, gets, puts, raw_rate, tcp};
    for (std::size_t i = 0; i < these.size(); ++i) rates[i].push_back(these[i]);
  }
  return FabricBandwidth{bytes, median(rates[0]), median(rates[1]), median(rates[2]), median(rates[3]), median(rates[4])};
}

Result<FabricLatency> measure_latency(FabricProcess& process, std::size_t bytes, const FabricBenchOptions& options) {
  std::array<std::vector<Duration>, 4> times;
  for (int round = 0; round < options.rounds; ++round) {
    TROUPE_TRY(auto raw, RawWire::begin(process, bytes));
    TROUPE_TRY(const auto alone, raw.round_trips(bytes, options.round_trips));
    raw.end();
    TROUPE_TRY(const auto fabric, measure_round_trips(process, bytes, options.round_trips));
    times[0].push_back(fabric.quantile(0.5));
    times[1].push_back(fabric.quantile(0.99));
    times[2].push_back(alone.quantile(0.5));
    times[3].push_back(alone.quantile(0.99));
  }
  return FabricLatency{bytes, median(times[0]), median(times[1]), median(times[2]), median(times[3])};
}

}  // namespace

Result<FabricBenchResult> bench_fabric(const FabricBenchOptions& options,
                                       const std::function<void(const std::string&)>& progress) {
  std::size_t bytes_max = 0;
  for (const auto& sizes : {options.sizes, options.small_sizes}) {
    for (const std::size_t size : sizes) bytes_max = std::max(bytes_max, size);
  }
  TROUPE_TRY(const auto process, FabricProcess::start(bytes_max, options.transports));
  FabricBenchResult result;
  for (const std::size_t size : options.sizes) {
    progress("transfers of " + std::to_string(size) + " bytes");
    TROUPE_TRY(const auto measured, measure_bandwidth(*process, size, options));
    result.bandwidth.push_back(measured);
  }
  for (const std::size_t size : options.small_sizes) {
    progress("round trips of " + std::to_string(size) + " bytes");
    TROUPE_TRY(const auto measured, measure_latency(*process, size, options));
    result.latency.push_back(measured);
  }
  return result;
}

}  // namespace troupe::bench
