// UCX as a Wire: one worker, one endpoint for each link, frames as active messages. No other of UCX's features is switched on,
// so that a peer has no way to name memory that we did not offer it. docs/decisions/0011-fabric.md has the story of each
// setting.
#include <poll.h>
#include <sys/eventfd.h>
#include <ucp/api/ucp.h>
#include <ucs/config/global_opts.h>
#include <ucs/debug/debug.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstring>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "base/check.hpp"
#include "cluster/ucx_fabric.hpp"

namespace troupe::cluster {

namespace {

constexpr unsigned frame_message = 1;  ///< the only kind of active message
/// What precedes UCX's own address, whose reader trusts what it reads: damage is found before.
constexpr std::string_view address_magic = "ucx1";

Error error_of(ucs_status_t status, const std::string& doing) {
  const ErrorCode code = status == UCS_ERR_CANCELED ? ErrorCode::cancelled : ErrorCode::unavailable;
  return {code, doing + ": " + ucs_status_string(status)};
}

/// FNV-1a: against damage, not against forgers.
std::uint64_t checksum(std::string_view bytes) {
  std::uint64_t sum = 0xcbf29ce484222325U;
  for (const char byte : bytes) sum = (sum ^ static_cast<unsigned char>(byte)) * 0x100000001b3U;
  return sum;
}

Result<void> check_status(ucs_status_t status, const std::string& doing) {
  if (status != UCS_OK) return error_of(status, doing);
  return {};
}

struct ConfigDelete {
  void operator()(ucp_config_t* config) const { ucp_config_release(config); }
};
using Config = std::unique_ptr<ucp_config_t, ConfigDelete>;

/// A send or a receive that has not ended.
struct Operation {
  std::size_t* under_way = nullptr;
  std::string head;
  std::function<void(Result<void>)> ended;
  const char* doing = "";
};

void end_operation(Operation* operation, ucs_status_t status) {
  const std::unique_ptr<Operation> held(operation);
  --*held->under_way;
  held->ended(check_status(status, held->doing));
}

/// Has UCX end the operation when it is done with it.
ucp_request_param_t ending(Operation* operation) {
  ucp_request_param_t how{};
  how.op_attr_mask = UCP_OP_ATTR_FIELD_CALLBACK | UCP_OP_ATTR_FIELD_USER_DATA;
  how.cb.send = [](void* request, ucs_status_t status, void* data) {
    ucp_request_free(request);
    end_operation(static_cast<Operation*>(data), status);
  };
  how.user_data = operation;
  return how;
}

/// What a nonblocking call of UCX returned: nothing to wait for, an error, or a request whose callback comes later.
void follow(ucs_status_ptr_t started, Operation* operation) {
  if (started == nullptr) return end_operation(operation, UCS_OK);
  if (UCS_PTR_IS_ERR(started)) end_operation(operation, UCS_PTR_STATUS(started));
}

class UcxWire final : public Wire {
 public:
  static Result<std::unique_ptr<UcxWire>> open_wire(const UcxOptions& options);
  ~UcxWire() override;

  std::string_view transport() const override { return "ucx"; }
  std::string address() const override { return address_; }
  void listen(Events events) override { events_ = std::move(events); }
  Result<LinkId> open(std::string_view address) override;
  void close(LinkId link) override;
  void send(LinkId link, std::string head, std::span<const std::byte> body, std::function<void(Result<void>)> sent) override;
  std::size_t under_way() const override { return under_way_; }
  bool progress() override;
  void wait(TimePoint until) override;
  void wake() override {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(wake_, &one, sizeof(one));  // full means that it is awake already
  }

 private:
  struct Link {
    UcxWire* wire = nullptr;
    LinkId id;
    ucp_ep_h endpoint = nullptr;
    bool connecting = true;  ///< UCX aborts if it is closed so early: a reply of its own may wait in it
    bool closing = false;
  };
  class UcxArrival;

  UcxWire() = default;
  Result<void> start(const UcxOptions& options);
  Result<void> make_address();
  void watch(Link& link);
  void flush_all();
  void close_now(LinkId id);
  static ucs_status_t on_frame(void* self, const void* head, std::size_t head_bytes, void* data, std::size_t bytes,
                               const ucp_am_recv_param_t* how);
  static void on_broken(void* link, ucp_ep_h endpoint, ucs_status_t status);

  Events events_;
  ucp_context_h context_ = nullptr;
  ucp_worker_h worker_ = nullptr;
  int worker_events_ = -1;
  int wake_ = -1;
  std::string address_;
  std::uint64_t drawn_ = 0;
  std::map<LinkId, std::unique_ptr<Link>> links_;
  std::vector<LinkId> connected_;                    ///< of closing_: not to be closed before
  std::map<LinkId, std::unique_ptr<Link>> closing_;  ///< UCX may still name them
  std::size_t under_way_ = 0;
};

class UcxWire::UcxArrival final : public Arrival {
 public:
  UcxArrival(UcxWire& wire, std::span<const std::byte> head, void* data, std::size_t bytes, bool here)
      : wire_(wire), head_(head), data_(data), bytes_(bytes), here_(here) {}
  std::span<const std::byte> head() const override { return head_; }
  std::uint64_t bytes() const override { return bytes_; }
  const std::byte* body() const override { return here_ ? static_cast<const std::byte*>(data_) : nullptr; }
  void receive(std::span<std::byte> target, std::function<void(Result<void>)> received) override {
    TROUPE_CHECK(!taken_ && target.size() == bytes_, "a body is received once, into memory of its size");
    taken_ = true;
    if (here_) {
      if (bytes_ > 0) std::memcpy(target.data(), data_, bytes_);
      return received({});
    }
    auto* const operation = new Operation{&wire_.under_way_, {}, std::move(received), "receiving a frame"};
    ++wire_.under_way_;
    ucp_request_param_t how{};
    how.op_attr_mask = UCP_OP_ATTR_FIELD_CALLBACK | UCP_OP_ATTR_FIELD_USER_DATA | UCP_OP_ATTR_FLAG_NO_IMM_CMPL;
    how.cb.recv_am = [](void* request, ucs_status_t status, std::size_t /*bytes*/, void* data) {
      ucp_request_free(request);
      end_operation(static_cast<Operation*>(data), status);
    };
    how.user_data = operation;
    follow(ucp_am_recv_data_nbx(wire_.worker_, data_, target.data(), target.size(), &how), operation);
  }
  bool taken() const { return taken_ || here_; }

 private:
  UcxWire& wire_;
  std::span<const std::byte> head_;
  void* data_;
  std::size_t bytes_;
  bool here_;
  bool taken_ = false;
};

ucs_status_t UcxWire::on_frame(void* self, const void* head, std::size_t head_bytes, void* data, std::size_t bytes,
                               const ucp_am_recv_param_t* how) {
  auto& wire = *static_cast<UcxWire*>(self);
  const bool here = (how->recv_attr & UCP_AM_RECV_ATTR_FLAG_RNDV) == 0;
  UcxArrival arrival(wire, {static_cast<const std::byte*>(head), head_bytes}, data, bytes, here);
  if (wire.events_.arrived) wire.events_.arrived(arrival);
  return arrival.taken() ? UCS_OK : UCS_ERR_REJECTED;
}

void UcxWire::on_broken(void* link, ucp_ep_h /*endpoint*/, ucs_status_t status) {
  const auto& broken = *static_cast<Link*>(link);
  if (!broken.wire->links_.contains(broken.id) || !broken.wire->events_.broke) return;
  broken.wire->events_.broke(broken.id, error_of(status, "the link broke"));
}

Result<std::unique_ptr<UcxWire>> UcxWire::open_wire(const UcxOptions& options) {
  std::unique_ptr<UcxWire> wire(new UcxWire());
  TROUPE_TRY_DO(wire->start(options));
  TROUPE_TRY_DO(wire->make_address());
  return wire;
}

Result<void> UcxWire::start(const UcxOptions& options) {
  release_ucx_signals();
  ucs_global_opts_set_value("HANDLE_ERRORS", "none");
  ucp_config_t* read = nullptr;
  TROUPE_TRY_DO(check_status(ucp_config_read(nullptr, nullptr, &read), "reading UCX's settings"));
  const Config config(read);
  // The first two are the caller's. A peer whose machine is cut off is noticed within two seconds, by the kernel's TCP: UCX's
  // own probes are empty writes, whose late acknowledgement aborts it. TCP's segments are sized for bulk. The rest keeps UCX
  // from aborting when a peer is lost in the middle: what is large is fetched by its receiver (over CMA or RDMA) or sent in
  // copies, never written from afar or sent from where it stands over TCP, and TCP's events come one by one. Transports'
  // settings go without their prefix: with it UCX takes them, and does nothing.
  const std::array<std::pair<const char*, const char*>, 12> settings = {{{"TLS", options.transports.c_str()},
                                                                         {"NET_DEVICES", options.devices.c_str()},
                                                                         {"KEEPALIVE_INTERVAL", "inf"},
                                                                         {"KEEPIDLE", "1s"},
                                                                         {"KEEPINTVL", "500ms"},
                                                                         {"KEEPCNT", "2"},
                                                                         {"TX_SEG_SIZE", "256k"},
                                                                         {"RX_SEG_SIZE", "256k"},
                                                                         {"PUT_ENABLE", "n"},
                                                                         {"RNDV_SCHEME", "get_zcopy"},
                                                                         {"MAX_POLL", "1"},
                                                                         {"ZCOPY_THRESH", "inf"}}};
  for (const auto& [name, value] : settings) {
    TROUPE_TRY_DO(
        check_status(ucp_config_modify(config.get(), name, value), "setting UCX's " + std::string(name) + " to " + value));
  }
  ucp_params_t features{};
  features.field_mask = UCP_PARAM_FIELD_FEATURES;
  features.features = UCP_FEATURE_AM | UCP_FEATURE_WAKEUP;
  if (auto started = check_status(ucp_init(&features, config.get(), &context_), "starting UCX"); !started) {
    started.error().message +=
        "; the transports are \"" + options.transports + "\", and \"all\" takes those that this machine has";
    return started;
  }
  ucp_worker_params_t worker{};
  worker.field_mask = UCP_WORKER_PARAM_FIELD_THREAD_MODE;
  worker.thread_mode = UCS_THREAD_MODE_SERIALIZED;  // it is made by one thread, and used by another
  TROUPE_TRY_DO(
      check_status(ucp_worker_create(context_, &worker, &worker_), "making a worker of UCX on " + options.transports));
  TROUPE_TRY_DO(check_status(ucp_worker_get_efd(worker_, &worker_events_), "asking UCX to wake us up"));
  wake_ = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (wake_ < 0) return Error{ErrorCode::io, "no eventfd: " + std::string(std::strerror(errno))};
  ucp_am_handler_param_t handler{};
  handler.field_mask = UCP_AM_HANDLER_PARAM_FIELD_ID | UCP_AM_HANDLER_PARAM_FIELD_CB | UCP_AM_HANDLER_PARAM_FIELD_ARG;
  handler.id = frame_message;
  handler.cb = on_frame;
  handler.arg = this;
  return check_status(ucp_worker_set_am_recv_handler(worker_, &handler), "listening for frames");
}

Result<void> UcxWire::make_address() {
  ucp_worker_attr_t about{};
  about.field_mask = UCP_WORKER_ATTR_FIELD_ADDRESS | UCP_WORKER_ATTR_FIELD_MAX_AM_HEADER;
  TROUPE_TRY_DO(check_status(ucp_worker_query(worker_, &about), "asking for UCX's address"));
  std::string address(reinterpret_cast<const char*>(about.address), about.address_length);
  ucp_worker_release_address(worker_, about.address);
  if (about.max_am_header < head_bytes_max) {
    return Error{ErrorCode::unsupported, "these transports carry heads of " + std::to_string(about.max_am_header) +
                                             " bytes, expected at least " + std::to_string(head_bytes_max)};
  }
  const std::uint64_t sum = checksum(address);
  address_ = std::string(address_magic) + std::string(reinterpret_cast<const char*>(&sum), sizeof(sum)) + address;
  return {};
}

UcxWire::~UcxWire() {
  if (worker_ != nullptr) {
    events_ = {};
    while (!links_.empty()) close(links_.begin()->first);
    const TimePoint until = SystemClock().now() + fabric_grace;
    const auto settle = [&] {
      while (under_way_ > 0 && SystemClock().now() < until) progress();
    };
    settle();
    // Whoever is just connecting to us has endpoints of UCX's own, whose replies have to be out as well.
    flush_all();
    settle();
    if (under_way_ == 0) {
      ucp_worker_destroy(worker_);
    } else {
      context_ = nullptr;  // UCX would abort over what still waits in it: its memory is given up instead
    }
  }
  if (context_ != nullptr) ucp_cleanup(context_);
  if (wake_ >= 0) ::close(wake_);
}

Result<LinkId> UcxWire::open(std::string_view address) {
  std::uint64_t sum = 0;
  const std::size_t prefix = address_magic.size() + sizeof(sum);
  if (address.size() > prefix) std::memcpy(&sum, address.data() + address_magic.size(), sizeof(sum));
  if (address.size() <= prefix || !address.starts_with(address_magic) || sum != checksum(address.substr(prefix))) {
    return Error{ErrorCode::invalid_argument, "an address of " + std::to_string(address.size()) +
                                                  " bytes that UCX on no node has made, or that was damaged"};
  }
  auto link = std::make_unique<Link>();
  link->wire = this;
  link->id = LinkId{++drawn_};
  ucp_ep_params_t how{};
  how.field_mask = UCP_EP_PARAM_FIELD_REMOTE_ADDRESS | UCP_EP_PARAM_FIELD_ERR_HANDLING_MODE | UCP_EP_PARAM_FIELD_ERR_HANDLER;
  how.address = reinterpret_cast<const ucp_address_t*>(address.data() + prefix);
  how.err_mode = UCP_ERR_HANDLING_MODE_PEER;
  how.err_handler = {on_broken, link.get()};
  TROUPE_TRY_DO(check_status(ucp_ep_create(worker_, &how, &link->endpoint), "opening a link"));
  const LinkId id = link->id;
  links_[id] = std::move(link);
  watch(*links_[id]);
  return id;
}

void UcxWire::close(LinkId link) {
  const auto place = links_.find(link);
  TROUPE_CHECK(place != links_.end(), "a link is closed once");
  Link& closed = *place->second;
  closing_[link] = std::move(place->second);
  links_.erase(place);
  closed.closing = true;
  if (!closed.connecting) close_now(link);
}

void UcxWire::watch(Link& link) {
  // A flush ends when the link is connected, or has failed.
  auto* const operation = new Operation{&under_way_,
                                        {},
                                        [&link](const Result<void>& /*end*/) {
                                          link.connecting = false;
                                          if (link.closing) link.wire->connected_.push_back(link.id);
                                        },
                                        "connecting a link"};
  ++under_way_;
  const ucp_request_param_t how = ending(operation);
  follow(ucp_ep_flush_nbx(link.endpoint, &how), operation);
}

void UcxWire::flush_all() {
  auto* const operation = new Operation{&under_way_, {}, [](const Result<void>& /*end*/) {}, "flushing all links"};
  ++under_way_;
  const ucp_request_param_t how = ending(operation);
  follow(ucp_worker_flush_nbx(worker_, &how), operation);
}

bool UcxWire::progress() {
  const bool busy = ucp_worker_progress(worker_) != 0;
  const auto connected = std::exchange(connected_, {});
  for (const LinkId id : connected) close_now(id);
  return busy || !connected.empty();
}

void UcxWire::close_now(LinkId link) {
  auto* const operation =
      new Operation{&under_way_, {}, [this, link](const Result<void>& /*end*/) { closing_.erase(link); }, "closing a link"};
  ++under_way_;
  ucp_request_param_t how = ending(operation);
  how.op_attr_mask |= UCP_OP_ATTR_FIELD_FLAGS;
  how.flags = UCP_EP_CLOSE_FLAG_FORCE;
  follow(ucp_ep_close_nbx(closing_.at(link)->endpoint, &how), operation);
}

void UcxWire::send(LinkId link, std::string head, std::span<const std::byte> body, std::function<void(Result<void>)> sent) {
  TROUPE_CHECK(head.size() <= head_bytes_max, "a head is short");
  auto* const operation = new Operation{&under_way_, std::move(head), std::move(sent), "sending a frame"};
  ++under_way_;
  const ucp_request_param_t how = ending(operation);
  follow(ucp_am_send_nbx(links_.at(link)->endpoint, frame_message, operation->head.data(), operation->head.size(), body.data(),
                         body.size(), &how),
         operation);
}

void UcxWire::wait(TimePoint until) {
  if (ucp_worker_arm(worker_) != UCS_OK) return;  // there is something to do already
  const Duration left = std::clamp(until - SystemClock().now(), Duration::zero(), Duration(std::chrono::seconds(60)));
  const auto whole = std::chrono::duration_cast<std::chrono::seconds>(left);
  const timespec time{whole.count(), (left - whole).count()};
  std::array<pollfd, 2> events = {{{worker_events_, POLLIN, 0}, {wake_, POLLIN, 0}}};
  ::ppoll(events.data(), events.size(), &time, nullptr);
  if ((events[1].revents & POLLIN) != 0) {
    std::uint64_t count = 0;
    [[maybe_unused]] const auto taken = ::read(wake_, &count, sizeof(count));
  }
}

}  // namespace

void release_ucx_signals() {
  static std::once_flag once;  // a second time it would complain
  std::call_once(once, [] {
    ucs_global_opts_set_value("LOG_LEVEL", "fatal");  // UCX writes to the output streams
    for (const int signal : {SIGILL, SIGSEGV, SIGBUS, SIGFPE, SIGHUP}) ucs_debug_disable_signal(signal);
  });
}

Result<std::unique_ptr<Wire>> open_ucx_wire(const UcxOptions& options) {
  TROUPE_TRY(auto wire, UcxWire::open_wire(options));
  return std::unique_ptr<Wire>(std::move(wire));
}

}  // namespace troupe::cluster
