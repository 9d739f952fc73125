#include "model/weights.hpp"

#include <algorithm>
#include <cstring>
#include <functional>
#include <unordered_set>
#include <utility>

#include "kernels/weight_writer.hpp"
#include "model/checkpoint.hpp"
#include "model/random_weights.hpp"
#include "model/tensor_values.hpp"
#include "model/weight_plan.hpp"

namespace troupe::model {

namespace {

using kernels::bf16;
using Tensor = WeightPiece::Tensor;

constexpr std::size_t scratch_bytes_max = std::size_t{8} << 20;

std::vector<std::int64_t> shape_of(const WeightPiece& piece, const Tensor& tensor) {
  if (piece.vector != nullptr) return {piece.inputs};
  return {tensor.rows, piece.inputs};
}

/// Tensors that change nothing: frequencies that are computed anyway, and a copy of the table of tied embeddings.
Result<bool> is_harmless(const Checkpoint& checkpoint, const std::string& name, const ModelConfig& config) {
  if (name.ends_with(".rotary_emb.inv_freq")) return true;
  if (name != "lm_head.weight" || !config.tied_embeddings) return false;
  TROUPE_TRY(const auto projection, checkpoint.find(name));
  TROUPE_TRY(const auto embedding, checkpoint.find("model.embed_tokens.weight"));
  return projection.dtype == embedding.dtype && std::ranges::equal(projection.shape, embedding.shape) &&
         std::memcmp(projection.bytes.data(), embedding.bytes.data(), embedding.bytes.size()) == 0;
}

Result<void> check_tensor(const Checkpoint& checkpoint, const WeightPiece& piece, const Tensor& wanted) {
  const auto shape = shape_of(piece, wanted);
  const std::string expected = describe(TensorView{DType::bf16, shape, {}});
  auto found = checkpoint.find(wanted.name);
  if (!found) {
    return Error{found.error().code, found.error().message + "; config.json implies one of " + expected};
  }
  if (!std::ranges::equal(found->shape, shape)) {
    return Error{ErrorCode::invalid_argument,
                 "tensor \"" + wanted.name + "\" is " + describe(*found) + ", but config.json implies " + expected};
  }
  return check_weight_type(*found, wanted.name);
}

/// Exactly the tensors of the whole model, each with its shape, whatever parts of it are loaded.
Result<void> check_tensors(const Checkpoint& checkpoint, const ModelConfig& config) {
  WeightMap map;
  const WeightPlan plan = plan_weights(config, {}, kernels::DeviceKind::cpu, map);
  std::unordered_set<std::string_view> expected;
  for (const WeightPiece& piece : plan.pieces) {
    for (const Tensor& tensor : piece.tensors) {
      TROUPE_TRY_DO(check_tensor(checkpoint, piece, tensor));
      expected.insert(tensor.name);
    }
  }
  for (const std::string& name : checkpoint.names()) {
    if (expected.contains(name)) continue;
    TROUPE_TRY(const bool harmless, is_harmless(checkpoint, name, config));
    if (harmless) continue;
    const bool other_projection = name == "lm_head.weight" && config.tied_embeddings;
    return Error{
        ErrorCode::invalid_argument,
        "tensor \"" + name + "\" " +
            (other_projection ? "differs from model.embed_tokens.weight, but config.json says tie_word_embeddings"
                              : "is not part of a " + std::string(to_string(config.architecture)) + " of this config")};
  }
  return {};
}

/// Packs the piece's tensors into `target`, the writer's device's memory, which is zeroed.
Result<void> load_piece(const Checkpoint& checkpoint, const WeightPiece& piece, std::byte* target,
                        kernels::WeightWriter& writer, std::vector<bf16>& scratch) {
  if (piece.vector != nullptr) {
    TROUPE_TRY(const auto tensor, checkpoint.find(piece.tensors.front().name));
    std::vector<float> values(static_cast<std::size_t>(piece.inputs));
    read_float32(tensor, values.data());
    TROUPE_TRY_DO(check_finite(values, piece.tensors.front().name));
    writer.copy(target, values.data(), values.size() * sizeof(float));
    return {};
  }
  // Values that have to be narrowed first take scratch memory. On a CPU what is being written stays in a cache.
  const std::int32_t rows_at_a_time = std::max<std::int32_t>(
      kernels::panel_outputs, static_cast<std::int32_t>(scratch_bytes_max / sizeof(bf16)) / piece.inputs);
  std::int32_t first_output = 0;
  for (const auto& [name, rows] : piece.tensors) {
    TROUPE_TRY(const auto tensor, checkpoint.find(name));
    for (std::int32_t row = 0; row < rows; row += rows_at_a_time) {
      const std::int32_t count = std::min(rows_at_a_time, rows - row);
      const auto width = static_cast<std::size_t>(piece.inputs);
      TROUPE_TRY(const auto values, bf16_values(tensor, name, static_cast<std::size_t>(row) * width,
                                                static_cast<std::size_t>(count) * width, scratch));
      TROUPE_TRY_DO(check_finite(values, name, static_cast<std::size_t>(row) * width));
      writer.pack_rows({piece.packed(target), piece.output_kind, first_output + row, count, values.data()});
    }
    first_output += rows;
  }
  return {};
}

}  // namespace

/// Makes weights piece by piece. The plan points into the map, so a builder stays where it is.
class Weights::Builder {
 public:
  /// Writes a piece to zeroed memory of the writer's device.
  using Fill = std::function<Result<void>(const WeightPiece& piece, std::byte* target, kernels::WeightWriter& writer)>;

  /// The parts are some that the config has.
  Builder(const ModelConfig& config, const WeightParts& parts, kernels::Device& device)
      : config_(config), parts_(parts), device_(device), plan_(plan_weights(config, parts, device.kind(), map_)) {}
  Builder(const Builder&) = delete;
  Builder& operator=(const Builder&) = delete;

  Result<Weights> build(const Progress& progress, const Fill& fill) {
    kernels::Memory memory;
    if (plan_.bytes > 0) {
      TROUPE_TRY(memory, device_.allocate(plan_.bytes));
    }
    auto* base = memory.as<std::byte>();
    TROUPE_TRY(const auto writer, device_.weight_writer());
    std::size_t done = 0;
    double told = 0;
    for (const WeightPiece& piece : plan_.pieces) {
      TROUPE_TRY_DO(fill(piece, base + piece.offset, *writer));
      done += piece.bytes;
      const double fraction = &piece == &plan_.pieces.back() ? 1 : static_cast<double>(done) / static_cast<double>(plan_.bytes);
      if (progress && (fraction == 1 || fraction - told >= 0.01)) progress(told = fraction);
    }
    writer->finish();
    if (progress && plan_.pieces.empty()) progress(1);
    place(plan_, config_, base, map_);
    return Weights(std::move(memory), std::move(map_), parts_.trunk,
                   parts_.experts ? *parts_.experts : ExpertSelection::all(expert_shape(config_)));
  }

 private:
  const ModelConfig& config_;
  const WeightParts& parts_;
  kernels::Device& device_;
  WeightMap map_;
  WeightPlan plan_;
};

policy::ExpertShape expert_shape(const ModelConfig& config) {
  policy::ExpertShape shape;
  shape.layers = config.layers;
  if (!config.moe) return shape;
  shape.experts = config.moe->experts;
  for (std::int32_t layer = 0; layer < config.layers; ++layer) {
    if (config.is_sparse(layer)) shape.sparse.push_back(layer);
  }
  if (!shape.sparse.empty()) {
    WeightParts one{.trunk = false, .experts = ExpertSelection{}};
    one.experts->add({shape.sparse.front(), 0});
    shape.expert_bytes = weights_bytes(config, one);
  }
  return shape;
}

Result<Weights> Weights::load(const std::filesystem::path& folder, const ModelConfig& config, kernels::Device& device,
                              const Progress& progress) {
  return load(folder, config, {}, device, progress);
}

Result<Weights> Weights::load(const std::filesystem::path& folder, const ModelConfig& config, const WeightParts& parts,
                              kernels::Device& device, const Progress& progress) {
  if (parts.experts) TROUPE_TRY_DO(check(*parts.experts, expert_shape(config)));
  TROUPE_TRY(const auto checkpoint, Checkpoint::open(folder));
  if (auto checked = check_tensors(checkpoint, config); !checked) {
    return std::move(checked).error().within(folder.string());
  }
  std::vector<bf16> scratch;
  const auto load = [&](const WeightPiece& piece, std::byte* target, kernels::WeightWriter& writer) {
    return load_piece(checkpoint, piece, target, writer, scratch);
  };
  auto weights = Builder(config, parts, device).build(progress, load);
  if (!weights) return std::move(weights).error().within(folder.string());
  return weights;
}

Result<Weights> Weights::random(const ModelConfig& config, std::uint64_t seed, kernels::Device& device,
                                const Progress& progress) {
  return random(config, seed, {}, device, progress);
}

Result<Weights> Weights::random(const ModelConfig& config, std::uint64_t seed, const WeightParts& parts,
                                kernels::Device& device, const Progress& progress) {
  if (parts.experts) TROUPE_TRY_DO(check(*parts.experts, expert_shape(config)));
  const RandomWeights random(seed);
  const auto fill = [&](const WeightPiece& piece, std::byte* target, kernels::WeightWriter& writer) -> Result<void> {
    random.fill(piece, target, writer);
    return {};
  };
  return Builder(config, parts, device).build(progress, fill);
}

std::size_t weights_bytes(const ModelConfig& config, const WeightParts& parts, kernels::DeviceKind kind) {
  WeightMap map;
  return plan_weights(config, parts, kind, map).bytes;
}

}  // namespace troupe::model
