// The documents of a node over its connection: listed in pages, searched, and changed in pieces that fit into frames.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "clients/cpp/client.hpp"
#include "clients/cpp/link.hpp"

namespace troupe::clients {

Result<std::vector<policy::DocumentEntry>> list_documents(Link& link);
Result<policy::SearchHits> search_corpus(Link& link, const std::string& question, std::uint32_t limit);
Result<policy::CorpusView> send_change(Link& link, std::shared_ptr<const policy::CorpusChange> change, const OnSent& on_sent);

}  // namespace troupe::clients
