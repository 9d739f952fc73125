// One request inside an engine, from submission to its last event.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "engine/answer.hpp"
#include "engine/block_id.hpp"
#include "engine/block_pool.hpp"
#include "engine/request.hpp"

namespace troupe::engine {

struct Sequence {
  Sequence(SequenceId sequence_id, GenerateRequest generate, Listener& hears, const model::Tokenizer* tokenizer,
           const std::vector<TokenId>& end_tokens, TimePoint now)
      : id(sequence_id),
        request(std::move(generate)),
        listener(&hears),
        answer(tokenizer, end_tokens, request),
        tokens(request.prompt),
        submitted(now),
        last_token(now) {
    // As it was told where the answer began: in the same pieces, so that what follows is cut as it would have been there.
    for (const model::SampledToken& token : request.answered) {
      tokens.push_back(token.token);
      pending_finish = answer.add(token);
      answer.take();
      if (pending_finish) break;
    }
  }
  Sequence(const Sequence&) = delete;
  Sequence& operator=(const Sequence&) = delete;

  /// Tokens that were known when it came: they are computed in chunks, as fast as there is room.
  std::int32_t given() const { return static_cast<std::int32_t>(request.prompt.size() + request.answered.size()); }
  /// The tokens that the next pass may compute are the answer's, one by one.
  bool decoding() const { return scheduled >= given(); }
  /// How many tokens the next pass may compute: those that are known, or the one that a pass is just choosing.
  std::int32_t tokens_left() const {
    const std::int32_t known = static_cast<std::int32_t>(tokens.size()) - scheduled;
    return known > 0 || !coming || scheduled >= positions_max() ? known : 1;
  }
  /// Positions whose keys and values are ever needed: the last token of the answer is never computed with.
  std::int32_t positions_max() const { return static_cast<std::int32_t>(request.prompt.size()) + request.tokens_max - 1; }

  SequenceId id;
  GenerateRequest request;
  Listener* listener;
  Answer answer;

  std::vector<TokenId> tokens;     ///< prompt and answer
  std::int32_t computed = 0;       ///< tokens whose keys and values are in `blocks`
  std::int32_t scheduled = 0;      ///< these, and those that passes are computing
  std::vector<BlockIndex> blocks;  ///< room for the worst case is made at admission, so that passes may point into it
  std::int32_t reserved = 0;       ///< blocks promised and not yet taken
  std::int32_t named = 0;          ///< leading blocks whose identity is known
  BlockId identity;                ///< of the last of these, or the root

  bool running = false;                        ///< admitted
  std::int32_t passes = 0;                     ///< that use its blocks and tokens
  std::optional<std::int32_t> coming;          ///< a pass is choosing its next token, for this row of its logits
  std::optional<FinishReason> pending_finish;  ///< to be finished so as soon as no pass uses it
  std::optional<Error> pending_error;          ///< and with this error

  TimePoint submitted;
  TimePoint last_token;
  SequenceStatistics statistics;
};

}  // namespace troupe::engine
