#include <chrono>
#include <filesystem>
#include <iostream>
#include <iterator>
#include <optional>
#include <utility>

#include "actors/indexed_corpus.hpp"
#include "cli/answer_view.hpp"
#include "cli/ask.hpp"
#include "cli/corpus.hpp"
#include "cli/data_folder.hpp"
#include "storage/corpus_documents.hpp"
#include "storage/data_folder.hpp"
#include "storage/documents.hpp"
#include "storage/node_address.hpp"
#include "storage/rocks_store.hpp"

namespace troupe::cli {

namespace {

using Steady = std::chrono::steady_clock;

/// A corpus in this process; what becomes of it is written to the store, if there is one.
class OwnCorpus final : public CorpusAccess {
 public:
  OwnCorpus(std::unique_ptr<storage::Store> store, storage::CataloguedCorpus corpus)
      : store_(std::move(store)), corpus_(std::move(corpus)) {}

  const std::string& node() const override { return node_; }
  Result<std::vector<policy::DocumentEntry>> documents() override { return corpus_.documents; }

  Result<policy::SearchHits> search(const std::string& question, std::uint32_t limit) override {
    if (!indexed_) indexed_.emplace(corpus_);  // as a node does, without what sections say to models
    return indexed_->search(question, limit);
  }

  Result<policy::CorpusView> change(policy::CorpusChange change) override {
    TROUPE_TRY(auto changed, storage::changed_corpus(corpus_, std::move(change)));
    TROUPE_TRY_DO(write_all(storage::put_catalogued(changed)));
    TROUPE_TRY(const auto forgotten, storage::forget_other_corpora(*store_));
    TROUPE_TRY_DO(write_all(forgotten));
    corpus_ = std::move(changed);
    indexed_.reset();
    return policy::CorpusView{node_, corpus_.corpus.version, static_cast<std::uint32_t>(corpus_.documents.size()),
                              static_cast<std::uint32_t>(corpus_.corpus.sections.size())};
  }

  std::vector<OtherCorpus> others(const std::string& /*version*/) override { return {}; }

 private:
  Result<void> write_all(const std::vector<storage::WriteBatch>& batches) {
    for (const auto& written : store_->write(batches)) TROUPE_TRY_DO(written);
    return {};
  }

  std::unique_ptr<storage::Store> store_;
  storage::CataloguedCorpus corpus_;
  std::optional<actors::IndexedCorpus> indexed_;
  std::string node_;
};

/// Progress of a change: how much is sent, and then that the node works on it.
clients::OnSent tell_sent() {
  return [sending = show_progress("sending documents"), applied = std::optional<Steady::time_point>(),
          said = false](double sent) mutable {
    if (!applied) sending(sent);
    if (sent < 1) return;
    if (!applied) applied = Steady::now();
    if (said || Steady::now() - *applied < std::chrono::seconds(2)) return;
    std::cerr << "the node makes its index, and answers from what it had meanwhile\n";
    said = true;
  };
}

class NodeCorpus final : public CorpusAccess {
 public:
  NodeCorpus(clients::Client client, std::string node) : client_(std::move(client)), node_(std::move(node)) {}

  const std::string& node() const override { return node_; }
  Result<std::vector<policy::DocumentEntry>> documents() override { return client_.documents(); }
  Result<policy::SearchHits> search(const std::string& question, std::uint32_t limit) override {
    return client_.search_corpus(question, limit);
  }
  Result<policy::CorpusView> change(policy::CorpusChange change) override {
    return client_.change_corpus(std::move(change), tell_sent());
  }
  std::vector<OtherCorpus> others(const std::string& version) override {
    std::vector<OtherCorpus> others;
    const auto view = client_.status();
    if (!view) return others;
    for (const policy::NodeView& each : view->nodes) {
      if (each.id.value == node_ || each.state == policy::NodeState::gone || each.corpus_version == version) continue;
      others.push_back({each.id.value, each.client_address});
    }
    return others;
  }

 private:
  clients::Client client_;
  std::string node_;
};

/// The node at an address; `expected`: the only one that may be there, if that is known.
Result<std::unique_ptr<CorpusAccess>> open_node(const std::string& address, const std::string& expected) {
  catch_interrupts();
  ConnectChoice connect;
  connect.addresses = {address};
  TROUPE_TRY(auto client, connect.open());
  TROUPE_TRY(const auto view, client.status());
  if (!expected.empty() && view.self.value != expected) {
    return Error{ErrorCode::unavailable, "at " + address + " is node " + view.self.value + ", not " + expected +
                                             "; say with --connect where that one listens for clients"};
  }
  return std::unique_ptr<CorpusAccess>(std::make_unique<NodeCorpus>(std::move(client), view.self.value));
}

}  // namespace

void CorpusChoice::add_to(CLI::App& command) {
  auto* data = command.add_option("--data", folder, "The node's data folder (default: that of --node)")->group("Corpus");
  auto* name =
      command.add_option("--node", node, "The node whose default data folder is meant")->capture_default_str()->group("Corpus");
  command
      .add_option(
          "--connect", connect,
          "A running node's address for clients, host:port (default: what a node that runs has left in its data folder)")
      ->excludes(data)
      ->excludes(name)
      ->group("Corpus");
}

Result<std::unique_ptr<CorpusAccess>> CorpusChoice::open() const {
  if (!connect.empty()) return open_node(connect, "");
  const std::filesystem::path path = folder.empty() ? default_data_folder(node) : std::filesystem::path(folder);
  std::error_code ignored;
  if (!std::filesystem::is_directory(path, ignored)) {
    return Error{ErrorCode::not_found, "there is no data folder " + path.string() +
                                           "; start a node with it first, or say with --connect where one runs"};
  }
  auto store = storage::RocksStore::open(path);
  if (!store && store.error().code == ErrorCode::unavailable) {
    if (const auto address = storage::read_address(path)) return open_node(address->clients, address->node.value);
    store.error().message = "a node, or another command, uses the data folder " + path.string() +
                            ", and no address is in it yet; try again in a moment, or say where the node listens for clients: "
                            "--connect HOST:PORT (its --listen)";
  }
  if (!store) return store.error();
  storage::forget_address(path);  // of a node that was killed
  if (const auto claimed = storage::check_claimed(**store); !claimed) return Error(claimed.error()).within(path.string());
  TROUPE_TRY(auto corpus, storage::load_catalogued(**store));
  return std::unique_ptr<CorpusAccess>(
      std::make_unique<OwnCorpus>(*std::move(store), corpus ? *std::move(corpus) : storage::CataloguedCorpus{}));
}

Result<OpenDocuments> open_documents(const std::string& path) {
  TROUPE_TRY(auto found, storage::find_documents(path));
  OpenDocuments opened{nullptr, std::move(found.refused)};
  std::vector<storage::Document> documents;
  for (const storage::DocumentFile& file : found.files) {
    const auto bytes = storage::read_document(file);
    auto document = bytes ? storage::parse_document(file, *bytes) : Result<storage::Document>(bytes.error());
    if (document) {
      documents.push_back(*std::move(document));
    } else {
      opened.refused.push_back(document.error().message);
    }
  }
  TROUPE_TRY(auto corpus, storage::catalogued(std::move(documents)));
  opened.corpus = std::make_unique<OwnCorpus>(nullptr, std::move(corpus));
  return opened;
}

void tell_refused(const std::vector<std::string>& refused) {
  for (const std::string& why : refused) std::cerr << "refused: " << plain_line(why) << '\n';
}

}  // namespace troupe::cli
