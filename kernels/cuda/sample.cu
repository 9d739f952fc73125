#include "kernels/cuda/sample.hpp"

#include "kernels/cuda/launch.hpp"
#include "kernels/cuda/sample_rank.cuh"

namespace troupe::kernels::cuda {

namespace {

constexpr float temperature_min = 0x1p-126f;
constexpr std::uint32_t token_choice_purpose = 1;  // model/sampler.hpp
/// Of the sum that log_sum_exp takes the logarithm of: 2^18 tokens of at most 2^44 fit in 64 bits.
constexpr float sum_unit = 0x1p-44f;
constexpr int loads_at_once = 8;  ///< of four logits a thread
/// Up to so many rows there are processors enough for clusters of 16.
constexpr int wide_rows_max = 4;

/// The 64 random bits of base/random.hpp's philox that model::sample draws with.
__device__ std::uint64_t random_word(std::uint64_t seed, std::int32_t position) {
  std::uint32_t counter[4] = {static_cast<std::uint32_t>(position), 0, 0, token_choice_purpose};
  std::uint32_t key[2] = {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)};
#pragma unroll
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t product0 = std::uint64_t{0xD2511F53U} * counter[0];
    const std::uint64_t product1 = std::uint64_t{0xCD9E8D57U} * counter[2];
    counter[0] = static_cast<std::uint32_t>(product1 >> 32) ^ counter[1] ^ key[0];
    counter[1] = static_cast<std::uint32_t>(product1);
    counter[2] = static_cast<std::uint32_t>(product0 >> 32) ^ counter[3] ^ key[1];
    counter[3] = static_cast<std::uint32_t>(product0);
    key[0] += 0x9E3779B9U;
    key[1] += 0xBB67AE85U;
  }
  return std::uint64_t{counter[0]} << 32 | counter[1];
}

/// Fills this thread's part of shared memory. Returns the rank of its best token, with bit 31 set if one is a NaN; 0 if there
/// is none.
template <int Blocks>
__device__ __forceinline__ std::uint64_t load_logits(const SampleCluster<Blocks>& cluster, const float* logits, int vocabulary,
                                                     bool by_fours) {
  constexpr float beyond = -__builtin_huge_valf();
  std::uint32_t best_key = 0;
  std::int32_t best_id = 0x7FFFFFFF;
  bool has_nan = false;
  const auto look_at = [&](float logit, std::int32_t id) {
    const bool is_nan = logit != logit;
    has_nan = has_nan || is_nan;
    const std::uint32_t key = id < vocabulary && !is_nan ? key_of(logit) : 0;
    if (key > best_key) {
      best_key = key;
      best_id = id;
    }
  };
  for (int first = 0; first < cluster.iterations(); first += loads_at_once) {
    float4 fours[loads_at_once];
#pragma unroll
    for (int i = 0; i < loads_at_once; ++i) {
      fours[i] = make_float4(beyond, beyond, beyond, beyond);
      const std::int32_t id = cluster.first_id(first + i);
      if (first + i >= cluster.iterations() || id >= vocabulary) continue;
      if (by_fours && id + 3 < vocabulary) {
        fours[i] = __ldcs(reinterpret_cast<const float4*>(logits + id));
      } else {
        fours[i].x = __ldcs(logits + id);
        if (id + 1 < vocabulary) fours[i].y = __ldcs(logits + id + 1);
        if (id + 2 < vocabulary) fours[i].z = __ldcs(logits + id + 2);
        if (id + 3 < vocabulary) fours[i].w = __ldcs(logits + id + 3);
      }
    }
#pragma unroll
    for (int i = 0; i < loads_at_once; ++i) {
      if (first + i >= cluster.iterations()) break;
      const std::int32_t id = cluster.first_id(first + i);
      look_at(fours[i].x, id);
      look_at(fours[i].y, id + 1);
      look_at(fours[i].z, id + 2);
      look_at(fours[i].w, id + 3);
      cluster.four(first + i) = fours[i];
    }
  }
  return rank_of(best_key, best_key == 0 ? 0x7FFFFFFF : best_id) | (has_nan ? 0x80000000U : 0U);
}

/// What log_sum_exp.hpp says, but for the log-sum-exp of rows that are in order.
struct Best {
  LogitSummary summary;
  bool in_order;
};
template <int Blocks>
__device__ __forceinline__ Best best_token(SampleCluster<Blocks>& cluster, const float* logits, std::uint64_t of_thread) {
  constexpr std::uint64_t nan_bit = 0x80000000U;
  const bool warp_has_nan = __any_sync(whole_warp, (of_thread & nan_bit) != 0);
  const std::uint64_t* const words = cluster.share(warp_max(of_thread & ~nan_bit) | (warp_has_nan ? nan_bit : 0));
  std::uint64_t best = 0;
  bool has_nan = false;
#pragma unroll
  for (int i = 0; i < SampleCluster<Blocks>::words_each; ++i) {
    const std::uint64_t word = words[cluster.lane() + 32 * i];
    has_nan = has_nan || (word & nan_bit) != 0;
    best = max(best, word & ~nan_bit);
  }
  best = warp_max(best);
  has_nan = __any_sync(whole_warp, has_nan);
  const auto key = static_cast<std::uint32_t>(best >> 32);
  if (key == 0) return {{0, -__builtin_huge_valf(), __builtin_nanf("")}, false};  // a row of NaN alone
  Best found{{id_of(best), logit_of(key), 0}, true};
  if (found.summary.max == 0) found.summary.max = logits[found.summary.best];  // which zero, keys do not say
  if (has_nan || !isfinite(found.summary.max)) {
    found.in_order = false;
    found.summary.log_sum_exp = has_nan ? __builtin_nanf("") : found.summary.max;
  }
  return found;
}

template <int Blocks>
__device__ __forceinline__ float log_sum_exp_of(SampleCluster<Blocks>& cluster, float best) {
  std::uint64_t own = 0;
  cluster.for_each(
      [&](float logit, std::int32_t) { own += __float2ull_rz(__fmul_rn(exact_exp(__fsub_rn(logit, best)), 1 / sum_unit)); });
  return __fadd_rn(best, exact_log(__fmul_rn(__ull2float_rn(cluster.share_sum(own)), sum_unit)));
}

/// Lists the most likely tokens in the row's result.
template <int Blocks>
__device__ __forceinline__ void list_likeliest(SampleCluster<Blocks>& cluster, const LogitSummary& summary, int count,
                                               SampledRow& result) {
  const Distances distances(summary.max, 1);
  const Counted possible{true};
  const Threshold last = likeliest(cluster, distances, possible, count);
  auto& in_first = *in_block(&cluster.memory(), 0);
  cluster.for_each([&](float logit, std::int32_t id) {
    const std::uint32_t distance = distances.of(logit);
    if (!possible.has(logit, id, distance) || !last.keeps(distance, key_of(logit), id)) return;
    const std::uint32_t place = atomicAdd(&in_first.listed_count, 1U);
    if (place < listed_tokens_max) in_first.listed[place] = rank_of(key_of(logit), id);
  });
  cluster_sync();
  if (cluster.range() != 0) return;
  const int listed = min(static_cast<int>(cluster.memory().listed_count), listed_tokens_max);
  const int lane = cluster.lane();
  if (lane < listed) {
    const std::uint64_t own = cluster.memory().listed[lane];
    int likelier = 0;
    for (int i = 0; i < listed; ++i) likelier += cluster.memory().listed[i] > own ? 1 : 0;
    const float logit = logit_of(static_cast<std::uint32_t>(own >> 32));
    result.listed[likelier] = {id_of(own), __fsub_rn(logit, summary.log_sum_exp)};
  } else if (lane < listed_tokens_max) {
    result.listed[lane] = {};
  }
  if (lane == 0) result.listed_count = listed;
}

struct Chosen {
  std::int32_t token;
  float logit;
  bool here;  ///< this warp is the one that knows
};
/// Draws a token of a row that is not greedy.
template <int Blocks>
__device__ __forceinline__ Chosen choose(SampleCluster<Blocks>& cluster, const LogitSummary& summary, const RowSampling& row,
                                         int vocabulary) {
  const Distances distances(summary.max, row.temperature);
  const Weights weights{summary.max, row.temperature};
  NearAndKept by_rank{{}, weights};
  if (row.top_k > 0 && row.top_k < vocabulary) {
    by_rank.kept = likeliest(cluster, distances, Counted{false}, row.top_k);
  }
  Threshold by_share;
  if (row.top_p < 1) {
    by_share = nucleus(cluster, distances, by_rank, NucleusWeight{__float2ull_rz(__fmul_rn(row.top_p, 0x1p32f))});
  }
  const std::uint64_t weight_min = __float2ull_rz(__fmul_rn(row.min_p, 0x1p40f));
  const auto weight_of = [&](float logit, std::int32_t id) -> std::uint64_t {
    const std::uint32_t distance = distances.of(logit);
    if (!by_rank.has(logit, id, distance) || !by_share.keeps(distance, key_of(logit), id)) return 0;
    const std::uint64_t weight = weights.of(logit);
    return weight >= weight_min ? weight : 0;
  };
  std::uint64_t own = 0;
  cluster.for_each([&](float logit, std::int32_t id) { own += weight_of(logit, id); });
  constexpr int each = SampleCluster<Blocks>::words_each;
  const std::uint64_t* const words = cluster.share(warp_sum(own));
  const std::uint64_t total = sum_words<each>(words);
  if (total == 0) return {summary.best, summary.max, cluster.range() == 0};  // the parameters are not valid
  // One more than the integer that is drawn: the token that covers it is the one with which the running sum reaches this.
  const std::uint64_t reached = __umul64hi(random_word(row.seed, row.position), total) + 1;
  const Place place = find_sum<each>(words, reached);
  if (place.index != cluster.range()) return {0, 0, false};
  const auto found = cluster.find_in_warp(reached - place.before, weight_of);
  return {found.id, found.logit, true};
}

template <int Blocks>
__global__ void __launch_bounds__(sample_threads, 2) sample_rows(const Sample p, const int iterations, const bool by_fours) {
  extern __shared__ __align__(16) unsigned char shared_memory[];
  let_next_begin();
  SampleCluster<Blocks> cluster(*reinterpret_cast<SampleMemory<Blocks>*>(shared_memory), iterations);
  cluster.clear();
  cluster_sync();  // all blocks are there before one writes to another's memory
  wait_for_previous();
  const auto row = static_cast<std::size_t>(blockIdx.x / Blocks);
  const float* const logits = p.logits + row * static_cast<std::size_t>(p.logits_stride);
  const RowSampling parameters = p.parameters[row];
  SampledRow& result = p.results[row];
  const bool writes = cluster.range() == 0 && cluster.lane() == 0;

  Best best = best_token(cluster, logits, load_logits(cluster, logits, p.vocabulary, by_fours));
  if (!best.in_order) {
    if (writes) {
      result = {};
      result.status = SampleStatus::corrupt;
      result.summary = best.summary;
      if (p.tokens != nullptr) p.tokens[row] = 0;
    }
    return;
  }
  best.summary.log_sum_exp = log_sum_exp_of(cluster, best.summary.max);
  if (writes) {
    result.status = SampleStatus::chosen;
    result.summary = best.summary;
  }
  const int listed = min(parameters.log_probabilities, listed_tokens_max);
  if (listed > 0) {
    list_likeliest(cluster, best.summary, listed, result);
  } else if (cluster.range() == 0) {
    if (cluster.lane() < listed_tokens_max) result.listed[cluster.lane()] = {};
    if (cluster.lane() == 0) result.listed_count = 0;
  }
  const bool greedy = !(parameters.temperature >= temperature_min);
  const Chosen chosen = greedy ? Chosen{best.summary.best, best.summary.max, cluster.range() == 0}
                               : choose(cluster, best.summary, parameters, p.vocabulary);
  if (chosen.here && cluster.lane() == 0) {
    result.token = chosen.token;
    result.log_probability = __fsub_rn(chosen.logit, best.summary.log_sum_exp);
    if (p.tokens != nullptr) p.tokens[row] = chosen.token;
  }
}

template <int Blocks>
cudaError_t sample_with(cudaStream_t stream, const Sample& arguments) {
  const int iterations = (arguments.vocabulary + Blocks * sample_threads * 4 - 1) / (Blocks * sample_threads * 4);
  const bool by_fours = reinterpret_cast<std::uintptr_t>(arguments.logits) % 16 == 0 && arguments.logits_stride % 4 == 0;
  LaunchShape shape{dim3(static_cast<unsigned>(arguments.rows * Blocks)), sample_threads};
  shape.shared_bytes = static_cast<int>(sizeof(SampleMemory<Blocks>)) + iterations * sample_threads * 16;
  shape.cluster = Blocks;
  if constexpr (Blocks > 8) {
    const cudaError_t allowed = cudaFuncSetAttribute(reinterpret_cast<const void*>(sample_rows<Blocks>),
                                                     cudaFuncAttributeNonPortableClusterSizeAllowed, 1);
    if (allowed != cudaSuccess) return allowed;
  }
  return launch(stream, shape, sample_rows<Blocks>, arguments, iterations, by_fours);
}

}  // namespace

cudaError_t sample(cudaStream_t stream, const Sample& arguments) {
  if (arguments.rows < 0 || arguments.vocabulary < 1 || arguments.vocabulary > sampled_vocabulary_max ||
      (arguments.rows > 1 && arguments.logits_stride < arguments.vocabulary)) {
    return cudaErrorInvalidValue;
  }
  if (arguments.rows == 0) return cudaSuccess;
  switch (arguments.blocks_per_row != 0 ? arguments.blocks_per_row : arguments.rows <= wide_rows_max ? 16 : 8) {
    case 8: return sample_with<8>(stream, arguments);
    case 16: return sample_with<16>(stream, arguments);
    default: return cudaErrorInvalidValue;
  }
}

}  // namespace troupe::kernels::cuda
