#include "tests/layouts/prompts.hpp"

#include <array>
#include <string_view>

namespace troupe::tests::layouts {

namespace {

constexpr std::uint64_t prompts_seed = 5;
constexpr std::size_t answer_tokens_min = 5;
/// Of the universe's families those of middling prompts, and one of prompts over a span of attention.
constexpr std::array<std::size_t, 8> families_asked{2, 3, 5, 6, 7, 9, 13, 18};

// As the bundled heavy model in small: more layers, experts and choices than the tiny mixture has. Three results have six
// orders to be added in.
constexpr std::string_view mixture = R"({
  "architectures": ["Qwen3MoeForCausalLM"], "model_type": "qwen3_moe", "hidden_act": "silu", "vocab_size": 251,
  "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 5, "num_attention_heads": 4, "num_key_value_heads": 2,
  "head_dim": 16, "max_position_embeddings": 1024, "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "tie_word_embeddings": false,
  "num_experts": 12, "num_experts_per_tok": 3, "moe_intermediate_size": 16, "norm_topk_prob": true, "decoder_sparse_step": 1,
  "mlp_only_layers": [0], "eos_token_id": 2})";
const TinyModel mixture_model{"mixture", mixture, 14};

}  // namespace

Prompts::Entry::Entry(const TinyModel& of) : tiny(&of), universe(of, prompts_seed, {}) {}

Prompts::Prompts() {
  for (const TinyModel& tiny : tiny_models()) models_.emplace_back(tiny);
  models_.emplace_back(mixture_model);
}

const std::vector<std::vector<std::size_t>>& Prompts::families(std::size_t model) {
  Entry& entry = models_[model];
  if (!entry.families.empty()) return entry.families;
  for (const std::size_t family : families_asked) {
    std::vector<std::size_t> members;
    for (std::size_t i = 0; i < bits::Universe::family_members; ++i) {
      const std::size_t spec = family * bits::Universe::family_members + i;
      if (entry.universe.spec(spec).prompt.size() <= engine::kv_block_positions) continue;
      if (entry.universe.reference(spec).tokens.size() >= answer_tokens_min) members.push_back(spec);
    }
    if (!members.empty()) entry.families.push_back(std::move(members));
  }
  return entry.families;
}

}  // namespace troupe::tests::layouts
