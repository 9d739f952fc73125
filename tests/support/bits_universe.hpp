// What the Bits property (bits.hpp) asks of a model: a few hundred requests that share prefixes and continue each other, and
// what each of them must answer, whatever runs beside it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/engine.hpp"
#include "kernels/cpu_device.hpp"
#include "tests/support/tiny_models.hpp"

namespace troupe::tests::bits {

using engine::TokenId;

/// A hash of words in their order (FNV-1a, 64 bits, by words of 32).
class WordHash {
 public:
  WordHash() = default;
  /// Goes on where another hash has ended.
  explicit WordHash(std::uint64_t value) : value_(value) {}
  void add(std::uint32_t word) { value_ = (value_ ^ word) * 0x100000001B3U; }
  void add(std::span<const float> values);
  std::uint64_t value() const { return value_; }

 private:
  std::uint64_t value_ = 0xCBF29CE484222325U;
};

/// A generated token, and the hash of all logits, tokens and log-probabilities from the answer's first token to this one.
struct HashedToken {
  TokenId token = 0;
  std::uint64_t hash = 0;
  float log_probability = 0;
  friend bool operator==(const HashedToken&, const HashedToken&) = default;
};

/// Writes down one answer, or what follows the tokens of it that another engine has `answered`.
class Recorder final : public engine::Listener {
 public:
  explicit Recorder(std::int32_t prompt_tokens, std::span<const HashedToken> answered = {})
      : prompt_tokens_(prompt_tokens), tokens_(answered.begin(), answered.end()) {
    if (!answered.empty()) hash_ = WordHash(answered.back().hash);
  }
  void on_tokens(const engine::TokensEvent& event) override;
  void on_finished(const engine::FinishedEvent& event) override { finished_ = event; }
  bool wants_logits() const override { return true; }
  void on_logits(engine::SequenceId sequence, std::int32_t position, std::span<const float> logits) override;

  /// With those that were answered before.
  const std::vector<HashedToken>& tokens() const { return tokens_; }
  const std::optional<engine::FinishedEvent>& finished() const { return finished_; }
  /// False if logits and tokens did not come in turn, in the order of positions.
  bool in_order() const { return in_order_; }

 private:
  std::int32_t prompt_tokens_;
  WordHash hash_;
  bool has_logits_ = false;
  bool in_order_ = true;
  std::vector<HashedToken> tokens_;
  std::optional<engine::FinishedEvent> finished_;
};

struct Spec {
  std::vector<TokenId> prompt;
  std::int32_t tokens_max = 0;
  model::SamplingParameters sampling;
  model::StopConditions stop;

  engine::GenerateRequest request() const;
};

/// What a spec answers when it runs alone in the plainest configuration: one thread, the best instruction set (plain C++ would
/// take minutes for all), the whole prompt in one chunk, nothing cached.
struct Reference {
  std::vector<HashedToken> tokens;
  engine::FinishReason reason = engine::FinishReason::failed;
  std::vector<std::uint64_t> block_checksums;  ///< of the payloads of the KV blocks that prompt and answer fill, under no name

  std::uint64_t hash() const { return tokens.empty() ? 0 : tokens.back().hash; }
};

/// Specs are a function of (model, seed, index); they and their references are made when they are first asked for. `defect`
/// names broken kernels, which the references are computed with too: then only what placement changes is a difference.
class Universe {
 public:
  static constexpr std::size_t families = 40;  ///< specs of a family share prefixes
  static constexpr std::size_t family_members = 8;
  static constexpr std::size_t specs = families * family_members;
  static constexpr std::int32_t positions_max = 1000;

  Universe(const TinyModel& tiny, std::uint64_t seed, std::string_view defect,
           kernels::DeviceKind kind = kernels::DeviceKind::cpu);
  Universe(const Universe&) = delete;  // its engine keeps references to it
  Universe& operator=(const Universe&) = delete;

  std::string_view name() const { return name_; }
  const model::Model& model() const { return *model_; }
  kernels::DeviceKind device_kind() const { return device_->kind(); }
  const Spec& spec(std::size_t index);
  const Reference& reference(std::size_t index);
  /// Prompt and answer of the reference.
  std::vector<TokenId> all_tokens(std::size_t index);

 private:
  Spec draw(std::size_t index);
  Reference run_alone(const Spec& spec);

  std::string_view name_;
  std::uint64_t seed_;
  std::unique_ptr<kernels::Device> device_;
  std::unique_ptr<model::Model> model_;
  SystemClock clock_;
  std::unique_ptr<engine::Engine> engine_;
  std::vector<std::optional<Spec>> specs_;
  std::vector<std::optional<Reference>> references_;
};

}  // namespace troupe::tests::bits
