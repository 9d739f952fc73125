#include "kernels/cuda/sample.hpp"

#include <array>

#include "kernels/cuda/launch.hpp"
#include "kernels/cuda/sample_list.cuh"
#include "kernels/cuda/sample_nucleus.cuh"

namespace troupe::kernels::cuda {

namespace {

constexpr float temperature_min = 0x1p-126f;
constexpr int loads_at_once = 8;  ///< of four logits a thread
/// Up to so many rows there are processors enough for clusters of 16.
constexpr int wide_rows_max = 4;

/// Fills this thread's part of shared memory. Returns the rank of its best token, with bit 31 set if one is a NaN; 0 if there
/// is none.
template <int Blocks>
__device__ __forceinline__ std::uint64_t load_logits(const SampleCluster<Blocks>& cluster, const float* logits, int vocabulary,
                                                     bool by_fours) {
  constexpr float beyond = -__builtin_huge_valf();
  float best = beyond;
  std::int32_t best_id = 0;
  bool has_nan = false;
  const auto look_at = [&](float logit, std::int32_t id) {
    has_nan = has_nan || logit != logit;
    if (logit > best) {
      best = logit;
      best_id = id;
    }
  };
  const auto is_whole_four = [&](std::int32_t id) { return by_fours && id + 3 < vocabulary; };
#pragma unroll 1
  for (int first = 0; first < cluster.iterations(); first += loads_at_once) {
    float4 fours[loads_at_once];
#pragma unroll
    for (int i = 0; i < loads_at_once; ++i) {
      const std::int32_t id = cluster.first_id(first + i);
      fours[i] = first + i < cluster.iterations() && is_whole_four(id) ? __ldcs(reinterpret_cast<const float4*>(logits + id))
                                                                       : make_float4(beyond, beyond, beyond, beyond);
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
  // The end of a row, or all of it. No token in `fours` has a higher id than one here.
#pragma unroll 1
  for (int i = 0; i < cluster.iterations(); ++i) {
    const std::int32_t id = cluster.first_id(i);
    if (id >= vocabulary || is_whole_four(id)) continue;
    float* const four = &cluster.four(i).x;
#pragma unroll 1
    for (int j = 0; j < 4 && id + j < vocabulary; ++j) {
      four[j] = __ldcs(logits + id + j);
      look_at(four[j], id + j);
    }
  }
  std::uint32_t best_key = best == beyond ? 0 : key_of(best);
#pragma unroll 1
  for (int i = 0; best_key == 0 && i < cluster.iterations(); ++i) {  // the first -infinity, if there is nothing else
    const float* const four = &cluster.four(i).x;
    for (int j = 3; j >= 0; --j) {
      const std::int32_t id = cluster.first_id(i) + j;
      if (id >= vocabulary || four[j] != beyond) continue;
      best_key = minus_infinity_key;
      best_id = id;
    }
  }
  return (best_key == 0 ? 0 : rank_of(best_key, best_id)) | (has_nan ? 0x80000000U : 0U);
}

/// What log_sum_exp.hpp says, but for the log-sum-exp of rows that are in order.
struct Best {
  LogitSummary summary;
  bool in_order;
  float least_of_bests = 0;  ///< of the warps', where rows are in order
};
template <int Blocks>
__device__ __forceinline__ Best best_token(SampleCluster<Blocks>& cluster, const float* logits, std::uint64_t of_thread) {
  constexpr std::uint64_t nan_bit = 0x80000000U;
  const bool warp_has_nan = __any_sync(whole_warp, (of_thread & nan_bit) != 0);
  const std::uint64_t* const words = cluster.share(warp_max(of_thread & ~nan_bit) | (warp_has_nan ? nan_bit : 0));
  std::uint64_t best = 0;
  std::uint32_t least_complement = 0;
  bool has_nan = false;
#pragma unroll
  for (int i = 0; i < SampleCluster<Blocks>::words_each; ++i) {
    const std::uint64_t word = words[cluster.lane() + 32 * i];
    const auto key = static_cast<std::uint32_t>(word >> 32);
    if (key != 0) least_complement = max(least_complement, ~key);
    has_nan = has_nan || (word & nan_bit) != 0;
    best = max(best, word & ~nan_bit);
  }
  best = warp_max(best);
  has_nan = __any_sync(whole_warp, has_nan);
  const auto key = static_cast<std::uint32_t>(best >> 32);
  if (key == 0) return {{0, -__builtin_huge_valf(), __builtin_nanf("")}, false};  // a row of NaN alone
  Best found{{id_of(best), logit_of(key), 0}, true, logit_of(~__reduce_max_sync(whole_warp, least_complement))};
  if (found.summary.max == 0) found.summary.max = logits[found.summary.best];  // which zero, keys do not say
  if (has_nan || !isfinite(found.summary.max)) {
    found.in_order = false;
    found.summary.log_sum_exp = has_nan ? __builtin_nanf("") : found.summary.max;
  }
  return found;
}

/// What is asked of a row.
struct Request {
  int listed;
  int top_k;     ///< 0: off
  bool nucleus;  ///< top_p is on
  bool greedy;

  __device__ Request(const RowSampling& row, int vocabulary)
      : listed(min(row.log_probabilities, listed_tokens_max)),
        top_k(0),
        nucleus(false),
        greedy(!(row.temperature >= temperature_min)) {
    if (greedy) return;
    if (row.top_k > 0 && row.top_k < vocabulary) top_k = row.top_k;
    nucleus = row.top_p < 1;
  }
  /// All that weigh enough may be chosen, whatever their rank.
  __device__ bool draws_from_all() const { return !greedy && top_k == 0 && !nucleus; }
  __device__ bool draws_from_nucleus() const { return top_k == 0 && nucleus; }
  /// The others narrow by top_k first.
  __device__ bool ranks() const { return listed > 0 || top_k > 0; }
};

/// A thread's part of sums over a row.
struct RowSums {
  std::uint64_t exps = 0;  ///< exp(logit - best logit), in units of `sum_unit`
  std::uint64_t weights = 0;
};
template <int Blocks>
__device__ __forceinline__ RowSums add_row(const SampleCluster<Blocks>& cluster, float best, bool weighted,
                                           const Weights& weights, float weight_min) {
  ExpSum exps;
  if (!weighted) {
    cluster.for_each([&](float logit, std::int32_t) { exps.add(logit, best); });
    return {exps.sum(), 0};
  }
  std::uint32_t low = 0;
  std::uint32_t high = 0;
  cluster.for_each([&](float logit, std::int32_t) {
    exps.add(logit, best);
    const float weight = weights.uncut(logit);
    const WeightParts parts(weight >= weight_min ? weight : 0);
    low += parts.low;
    high += parts.high;
  });
  return {exps.sum(), weight_of(low, high)};
}

/// Lists the most likely tokens in the row's result.
template <class Tokens>
__device__ __forceinline__ void list_likeliest(Tokens& tokens, const LogitSummary& summary, int count, SampledRow& result) {
  const Distances distances(summary.max, 1);
  const Counted possible{true};
  const Threshold last = likeliest(tokens, distances, possible, count);
  tokens.for_each([&](float logit, std::int32_t id) {
    const std::uint32_t distance = distances.of(logit);
    if (!possible.has(logit, id, distance) || !last.keeps(distance, key_of(logit), id)) return;
    tokens.list(rank_of(key_of(logit), id));
  });
  tokens.synchronise();
  if (!tokens.is_first_warp()) return;
  const int listed = min(static_cast<int>(tokens.memory().listed_count), listed_tokens_max);
  const int lane = tokens.lane();
  if (lane < listed) {
    const std::uint64_t own = tokens.memory().listed[lane];
    int likelier = 0;
    for (int i = 0; i < listed; ++i) likelier += tokens.memory().listed[i] > own ? 1 : 0;
    const float logit = logit_of(static_cast<std::uint32_t>(own >> 32));
    result.listed[likelier] = {id_of(own), __fsub_rn(logit, summary.log_sum_exp)};
  } else if (lane < listed_tokens_max) {
    result.listed[lane] = {};
  }
  if (lane == 0) result.listed_count = listed;
}

/// Draws one of the tokens that `weight_of(logit, id)` does not find to weigh nothing; `words` are the sums of it that the
/// warps have shared.
template <class Tokens, class WeightOf>
__device__ __forceinline__ Found draw(const Tokens& tokens, const std::uint64_t* words, const RowSampling& row,
                                      const LogitSummary& summary, const WeightOf& weight_of) {
  const std::uint64_t total = sum_words<Tokens::words_each>(words);
  if (total == 0) return {summary.max, summary.best, tokens.is_first_warp()};  // the parameters are not valid
  // One more than the integer that is drawn: the token that covers it is the one with which the running sum reaches this.
  const std::uint64_t reached = __umul64hi(random_word(row.seed, row.position), total) + 1;
  const Place place = find_sum<Tokens::words_each>(words, reached);
  return tokens.find(place.index, reached - place.before, weight_of);
}

/// Draws one of those that top_k keeps, and, of these, top_p.
template <class Tokens>
__device__ __forceinline__ Found draw_by_rank(Tokens& tokens, const LogitSummary& summary, const RowSampling& row,
                                              const Request& request, const Weights& weights, float weight_min) {
  const Distances distances(summary.max, row.temperature);
  const NearAndKept by_rank{likeliest(tokens, distances, Counted{false}, request.top_k), weights};
  Threshold by_share;
  if (request.nucleus) by_share = nucleus(tokens, distances, by_rank, NucleusWeight(row.top_p));
  const auto weight_of = [&](float logit, std::int32_t id) -> std::uint64_t {
    const std::uint32_t distance = distances.of(logit);
    if (!by_rank.has(logit, id, distance) || !by_share.keeps(distance, key_of(logit), id)) return 0;
    const float weight = weights.uncut(logit);
    return weight >= weight_min ? __float2ull_rz(weight) : 0;
  };
  std::uint64_t own = 0;
  tokens.for_each([&](float logit, std::int32_t id) { own += weight_of(logit, id); });
  return draw(tokens, tokens.share(warp_sum(own)), row, summary, weight_of);
}

template <int Blocks>
__global__ void __launch_bounds__(sample_threads, Blocks <= 8 ? 2 : 1)
    sample_rows(const Sample p, const int iterations, const bool by_fours) {
  extern __shared__ __align__(16) unsigned char shared_memory[];
  let_next_begin();
  SampleCluster<Blocks> cluster(*reinterpret_cast<SampleMemory<Blocks>*>(shared_memory), iterations);
  cluster.clear();
  cluster.synchronise();  // all blocks are there before one writes to another's memory
  wait_for_previous();
  const auto row_index = static_cast<std::size_t>(blockIdx.x / Blocks);
  const float* const logits = p.logits + row_index * static_cast<std::size_t>(p.logits_stride);
  const RowSampling row = p.parameters[row_index];
  SampledRow& result = p.results[row_index];
  const bool writes = cluster.is_first_warp() && cluster.lane() == 0;

  const Best best = best_token(cluster, logits, load_logits(cluster, logits, p.vocabulary, by_fours));
  LogitSummary summary = best.summary;
  if (!best.in_order) {
    if (writes) {
      result = {};
      result.status = SampleStatus::corrupt;
      result.summary = summary;
      if (p.tokens != nullptr) p.tokens[row_index] = 0;
    }
    return;
  }
  const Request request(row, p.vocabulary);
  const Weights weights(summary.max, request.greedy ? 1 : row.temperature);
  const float weight_min = truncf(__fmul_rn(row.min_p, 0x1p40f));
  const Nearness nearness{summary.max};

  // The sums and, where ranks decide, a histogram are on their way at the same time.
  const std::uint64_t* exps;
  const std::uint64_t* shares = nullptr;
  Found chosen{};
  if (request.draws_from_nucleus()) {
    Nucleus<Blocks> nucleus(cluster, summary, best.least_of_bests, row);
    exps = cluster.give(warp_sum(nucleus.add_row()));
    chosen = nucleus.draw();
    if (request.listed > 0) cluster.begin_histograms();
  } else {
    const RowSums own = add_row(cluster, summary.max, request.draws_from_all(), weights, weight_min);
    exps = cluster.give(warp_sum(own.exps));
    shares = cluster.give(warp_sum(own.weights));
  }
  if (request.ranks()) {
    count_by_nearness(cluster, nearness);
  } else if (!request.draws_from_nucleus()) {
    cluster.synchronise();
  }
  constexpr int each = SampleCluster<Blocks>::words_each;
  summary.log_sum_exp = __fadd_rn(summary.max, exact_log(__fmul_rn(__ull2float_rn(sum_words<each>(exps)), sum_unit)));
  if (writes) {
    result.status = SampleStatus::chosen;
    result.summary = summary;
    if (request.listed <= 0) result.listed_count = 0;
  }
  if (request.listed <= 0 && cluster.is_first_warp() && cluster.lane() < listed_tokens_max) result.listed[cluster.lane()] = {};

  const auto write_chosen = [&](const Found& found) {
    if (!found.here || cluster.lane() != 0) return;
    result.token = found.id;
    result.log_probability = __fsub_rn(found.logit, summary.log_sum_exp);
    if (p.tokens != nullptr) p.tokens[row_index] = found.id;
  };
  if (request.draws_from_nucleus()) write_chosen(chosen);
  if (request.greedy) write_chosen({summary.max, summary.best, cluster.is_first_warp()});
  if (request.draws_from_all()) {
    write_chosen(draw(cluster, shares, row, summary, [&](float logit, std::int32_t) -> std::uint64_t {
      const float weight = weights.uncut(logit);
      return weight >= weight_min ? __float2ull_rz(weight) : 0;
    }));
  }
  if (!request.ranks()) return;

  const auto by_rank = [&](auto& tokens) {
    if (request.listed > 0) list_likeliest(tokens, summary, request.listed, result);
    if (request.top_k > 0) write_chosen(draw_by_rank(tokens, summary, row, request, weights, weight_min));
  };
  const std::uint64_t* const counts = cluster.memory().counts;
  const int last_bin = bin_reaching(counts, static_cast<std::uint64_t>(max(request.listed, request.top_k)));
  if (last_bin == Nearness::last_bin || count_through(counts, last_bin) > list_entries_max) {
    by_rank(cluster);
    return;
  }
  SampleList<Blocks> list = gather(cluster, nearness, last_bin);
  if (cluster.block() == 0) by_rank(list);
}

/// Of a thread over its logits.
template <int Blocks>
int iterations_of(int vocabulary) {
  return divided_up(vocabulary, Blocks * sample_threads * 4);
}
template <int Blocks>
int shared_bytes_of(int iterations) {
  return static_cast<int>(sizeof(SampleMemory<Blocks>)) + iterations * sample_threads * 16;
}
/// Whether a GPU has room for the clusters of all rows at the same time.
template <int Blocks>
bool fit_at_once(int rows, int vocabulary) {
  static const std::array<int, iterations_max + 1> clusters = [] {
    std::array<int, iterations_max + 1> most{};
    for (int i = 1; i <= iterations_max; ++i)
      most[static_cast<std::size_t>(i)] =
          most_clusters(sample_rows<Blocks>, sample_threads, shared_bytes_of<Blocks>(i), Blocks);
    return most;
  }();
  const int iterations = iterations_of<Blocks>(vocabulary);
  return iterations <= iterations_max && rows <= clusters[static_cast<std::size_t>(iterations)];
}
/// An H100 or H200 has room for 30 clusters of 8, two blocks a processor, because parts of it with 18 processors have room for
/// 36 blocks; and for 36 clusters of 7.
int blocks_of_row(int rows, int vocabulary) {
  if (rows <= wide_rows_max) return 16;
  return !fit_at_once<8>(rows, vocabulary) && fit_at_once<7>(rows, vocabulary) ? 7 : 8;
}

template <int Blocks>
cudaError_t sample_with(cudaStream_t stream, const Sample& arguments) {
  const int iterations = iterations_of<Blocks>(arguments.vocabulary);
  const bool by_fours = reinterpret_cast<std::uintptr_t>(arguments.logits) % 16 == 0 && arguments.logits_stride % 4 == 0;
  LaunchShape shape{dim3(static_cast<unsigned>(arguments.rows * Blocks)), sample_threads};
  shape.shared_bytes = shared_bytes_of<Blocks>(iterations);
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
  int blocks = arguments.blocks_per_row != 0 ? arguments.blocks_per_row : blocks_of_row(arguments.rows, arguments.vocabulary);
  if (blocks <= 8 && arguments.vocabulary > iterations_max * blocks * sample_threads * 4) blocks = 16;
  switch (blocks) {
    case 7: return sample_with<7>(stream, arguments);
    case 8: return sample_with<8>(stream, arguments);
    case 16: return sample_with<16>(stream, arguments);
    default: return cudaErrorInvalidValue;
  }
}

}  // namespace troupe::kernels::cuda
