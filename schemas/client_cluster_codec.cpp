// The cluster and its models, as operators and clients see them.
#include <algorithm>
#include <utility>

#include "schemas/client_codec.hpp"
#include "schemas/client_codec_parts.hpp"

namespace troupe::schemas {

using parts::text;
using parts::write_enum;

namespace {

Result<policy::ReplicaView> read(client::ReplicaView::Reader from) {
  policy::ReplicaView replica;
  replica.index = from.getIndex();
  TROUPE_TRY(replica.tier, parts::read_tier(from.getTier()));
  replica.model_name = text(from.getModelName());
  replica.model = parts::read(from.getModel());
  replica.parameters = from.getParameters();
  replica.active_parameters = from.getActiveParameters();
  replica.context_max = from.getContextMax();
  replica.running = from.getRunning();
  replica.waiting = from.getWaiting();
  replica.blocks_total = from.getBlocksTotal();
  replica.blocks_free = from.getBlocksFree();
  replica.blocks_cached = from.getBlocksCached();
  replica.generated_tokens = from.getGeneratedTokens();
  replica.prompt_tokens = from.getPromptTokens();
  replica.reused_tokens = from.getReusedTokens();
  replica.fault = text(from.getFault());
  return replica;
}

void write(client::ReplicaView::Builder to, const policy::ReplicaView& replica) {
  to.setIndex(replica.index);
  to.setTier(write_enum<client::Tier>(replica.tier));
  to.setModelName(text(replica.model_name));
  parts::write(to.initModel(), replica.model);
  to.setParameters(replica.parameters);
  to.setActiveParameters(replica.active_parameters);
  to.setContextMax(replica.context_max);
  to.setRunning(replica.running);
  to.setWaiting(replica.waiting);
  to.setBlocksTotal(replica.blocks_total);
  to.setBlocksFree(replica.blocks_free);
  to.setBlocksCached(replica.blocks_cached);
  to.setGeneratedTokens(replica.generated_tokens);
  to.setPromptTokens(replica.prompt_tokens);
  to.setReusedTokens(replica.reused_tokens);
  to.setFault(text(replica.fault));
}

Result<policy::ExpertsView> read(client::ExpertsView::Reader from) {
  policy::ExpertsView experts;
  experts.model_name = text(from.getModelName());
  experts.model = parts::read(from.getModel());
  policy::ExpertWords words;
  words.words_per_layer = from.getWordsPerLayer();
  TROUPE_TRY(words.words,
             parts::read_numbers<std::uint64_t>(from.getWords(), ClientLimits::expert_words, "a selection of experts"));
  TROUPE_TRY(experts.experts, policy::selection_of(words));
  experts.experts_total = from.getExpertsTotal();
  experts.expert_bytes = from.getExpertBytes();
  experts.load = from.getLoad();
  experts.placement = from.getPlacement();
  return experts;
}

void write(client::ExpertsView::Builder to, const policy::ExpertsView& experts) {
  to.setModelName(text(experts.model_name));
  parts::write(to.initModel(), experts.model);
  const policy::ExpertWords words = policy::words_of(experts.experts);
  to.setWordsPerLayer(words.words_per_layer);
  parts::write_numbers(to.initWords(static_cast<unsigned>(words.words.size())), words.words);
  to.setExpertsTotal(experts.experts_total);
  to.setExpertBytes(experts.expert_bytes);
  to.setLoad(experts.load);
  to.setPlacement(experts.placement);
}

/// What a node has to do with bulk bytes and experts.
Result<void> read_data_plane(client::NodeView::Reader from, policy::NodeView& node) {
  const auto links = from.getLinks();
  if (links.size() > ClientLimits::nodes) return parts::too_many("the links of a node", links.size(), ClientLimits::nodes);
  for (const auto each : links) node.links.push_back({{text(each.getNode())}, text(each.getTransport())});
  const auto experts = from.getExperts();
  if (experts.size() > ClientLimits::replicas)
    return parts::too_many("the experts of a node", experts.size(), ClientLimits::replicas);
  for (const auto each : experts) {
    TROUPE_TRY(auto view, read(each));
    node.experts.push_back(std::move(view));
  }
  node.expert_bytes_free = from.getExpertBytesFree();
  node.experts_alone = from.getExpertsAlone();
  const auto blocks = from.getBlocks();
  node.blocks = {blocks.getFetchedBlocks(), blocks.getFetchedBytes(), blocks.getRestoredBlocks(), blocks.getWrongBlocks(),
                 blocks.getLentBlocks(),    blocks.getHostBytes(),    blocks.getDiskBytes()};
  return {};
}

void write_data_plane(client::NodeView::Builder to, const policy::NodeView& node) {
  auto links = to.initLinks(static_cast<unsigned>(node.links.size()));
  for (unsigned i = 0; i < links.size(); ++i) {
    links[i].setNode(text(node.links[i].node.value));
    links[i].setTransport(text(node.links[i].transport));
  }
  auto experts = to.initExperts(static_cast<unsigned>(node.experts.size()));
  for (unsigned i = 0; i < experts.size(); ++i) write(experts[i], node.experts[i]);
  to.setExpertBytesFree(node.expert_bytes_free);
  to.setExpertsAlone(node.experts_alone);
  auto blocks = to.initBlocks();
  blocks.setFetchedBlocks(node.blocks.fetched_blocks);
  blocks.setFetchedBytes(node.blocks.fetched_bytes);
  blocks.setRestoredBlocks(node.blocks.restored_blocks);
  blocks.setWrongBlocks(node.blocks.wrong_blocks);
  blocks.setLentBlocks(node.blocks.lent_blocks);
  blocks.setHostBytes(node.blocks.host_bytes);
  blocks.setDiskBytes(node.blocks.disk_bytes);
}

}  // namespace

Result<policy::NodeView> read(client::NodeView::Reader from) {
  policy::NodeView node;
  node.id.value = text(from.getId());
  node.incarnation = from.getIncarnation();
  TROUPE_TRY(node.state, parts::read_enum(from.getState(), policy::NodeState::gone, "the state of a node"));
  node.cluster_address = text(from.getClusterAddress());
  node.client_address = text(from.getClientAddress());
  node.leases = from.getLeases();
  node.version = text(from.getVersion());
  node.conversations = from.getConversations();
  node.turns = from.getTurns();
  node.corpus_version = text(from.getCorpusVersion());
  node.corpus_sections = from.getCorpusSections();
  const auto replicas = from.getReplicas();
  if (replicas.size() > ClientLimits::replicas)
    return parts::too_many("the replicas of a node", replicas.size(), ClientLimits::replicas);
  for (const auto each : replicas) {
    TROUPE_TRY(auto replica, read(each));
    node.replicas.push_back(std::move(replica));
  }
  node.conversations_stored = from.getConversationsStored();
  TROUPE_TRY_DO(read_data_plane(from, node));
  node.contracts = parts::read(from.getContracts());
  return node;
}

void write(client::NodeView::Builder to, const policy::NodeView& node) {
  to.setId(text(node.id.value));
  to.setIncarnation(node.incarnation);
  to.setState(write_enum<client::NodeState>(node.state));
  to.setClusterAddress(text(node.cluster_address));
  to.setClientAddress(text(node.client_address));
  to.setLeases(node.leases);
  to.setVersion(text(node.version));
  to.setConversations(node.conversations);
  to.setTurns(node.turns);
  to.setCorpusVersion(text(node.corpus_version));
  to.setCorpusSections(node.corpus_sections);
  auto replicas = to.initReplicas(static_cast<unsigned>(node.replicas.size()));
  for (unsigned i = 0; i < replicas.size(); ++i) write(replicas[i], node.replicas[i]);
  to.setConversationsStored(node.conversations_stored);
  write_data_plane(to, node);
  parts::write(to.initContracts(static_cast<unsigned>(node.contracts.size())), node.contracts);
}

std::vector<ServedModel> served_models(const policy::ClusterView& view) {
  std::vector<ServedModel> models;
  for (const policy::NodeView& node : view.nodes) {
    if (node.state == policy::NodeState::gone) continue;
    for (const policy::ReplicaView& replica : node.replicas) {
      const auto same = [&](const ServedModel& model) {
        return model.tier == replica.tier && model.name == replica.model_name && model.model == replica.model;
      };
      auto found = std::find_if(models.begin(), models.end(), same);
      if (found == models.end()) {
        models.push_back({replica.tier,
                          replica.model_name,
                          replica.model,
                          replica.parameters,
                          replica.active_parameters,
                          replica.context_max,
                          {}});
        found = models.end() - 1;
      }
      if (found->nodes.empty() || found->nodes.back() != node.id.value) found->nodes.push_back(node.id.value);
    }
  }
  std::stable_sort(models.begin(), models.end(), [](const ServedModel& a, const ServedModel& b) {
    return std::pair(a.tier, std::string_view(a.name)) < std::pair(b.tier, std::string_view(b.name));
  });
  return models;
}

void write(client::Models::Builder to, const std::vector<ServedModel>& models) {
  auto list = to.initModels(static_cast<unsigned>(models.size()));
  for (unsigned i = 0; i < list.size(); ++i) {
    const ServedModel& model = models[i];
    list[i].setTier(write_enum<client::Tier>(model.tier));
    list[i].setName(text(model.name));
    parts::write(list[i].initModel(), model.model);
    list[i].setParameters(model.parameters);
    list[i].setActiveParameters(model.active_parameters);
    list[i].setContextMax(model.context_max);
    auto nodes = list[i].initNodes(static_cast<unsigned>(model.nodes.size()));
    for (unsigned j = 0; j < nodes.size(); ++j) nodes.set(j, text(model.nodes[j]));
  }
}

Result<std::vector<ServedModel>> read(client::Models::Reader from) {
  const auto list = from.getModels();
  if (list.size() > ClientLimits::nodes) return parts::too_many("the models", list.size(), ClientLimits::nodes);
  std::vector<ServedModel> models;
  for (const auto each : list) {
    ServedModel model;
    TROUPE_TRY(model.tier, parts::read_tier(each.getTier()));
    model.name = text(each.getName());
    model.model = parts::read(each.getModel());
    model.parameters = each.getParameters();
    model.active_parameters = each.getActiveParameters();
    model.context_max = each.getContextMax();
    const auto nodes = each.getNodes();
    if (nodes.size() > ClientLimits::nodes) return parts::too_many("the nodes of a model", nodes.size(), ClientLimits::nodes);
    for (const auto node : nodes) model.nodes.push_back(text(node));
    models.push_back(std::move(model));
  }
  return models;
}

void write(client::ClusterView::Builder to, const policy::ClusterView& view) {
  to.setId({view.id.bytes.data(), view.id.bytes.size()});
  to.setSelf(text(view.self.value));
  auto nodes = to.initNodes(static_cast<unsigned>(view.nodes.size()));
  for (unsigned i = 0; i < nodes.size(); ++i) write(nodes[i], view.nodes[i]);
}

Result<policy::ClusterView> read(client::ClusterView::Reader from) {
  policy::ClusterView view;
  const auto id = from.getId();
  if (id.size() != view.id.bytes.size()) {
    return Error{ErrorCode::corrupt, "the id of a cluster has " + std::to_string(id.size()) + " bytes, expected " +
                                         std::to_string(view.id.bytes.size())};
  }
  std::copy(id.begin(), id.end(), view.id.bytes.begin());
  view.self.value = text(from.getSelf());
  const auto nodes = from.getNodes();
  if (nodes.size() > ClientLimits::nodes) return parts::too_many("the nodes", nodes.size(), ClientLimits::nodes);
  for (const auto each : nodes) {
    TROUPE_TRY(auto node, read(each));
    view.nodes.push_back(std::move(node));
  }
  return view;
}

}  // namespace troupe::schemas
