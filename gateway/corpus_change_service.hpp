// The capability of one change of the node's corpus: collects documents until they are to be applied.
#pragma once

#include <memory>

#include "gateway/service.hpp"

namespace troupe::gateway {

/// `place` is held until the change is applied, or nobody holds the capability any more.
schemas::client::CorpusChange::Client make_corpus_change(std::shared_ptr<Session> session, Quota::Hold place);

}  // namespace troupe::gateway
